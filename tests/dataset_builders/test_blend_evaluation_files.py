"""A blend's rows beside an evaluation file: the numbers are those that one counts by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dataset_builders.blend.evaluation_files import COLUMNS, beside
from tests.dataset_builders.raw_files import put, write_parquet


def rows(kind: str, *asked: tuple[str, Any]) -> list[dict[str, Any]]:
    """As in ``train.parquet``."""
    return [
        {"task_type": kind, "truth": json.dumps(truth),
         "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": prompt}]}
        for prompt, truth in asked
    ]  # fmt: skip


def test_each_type_that_is_asked_has_a_line_of_either_side(tmp_path: Path) -> None:
    ours = rows("generation", ("say it", "a b c"), ("Say it now", "a"), ("and something else besides", "a b"))
    ours += rows("retrieval", ("find.\n1. a\n2. b\n3. c", [1, 3]))
    theirs = [
        {"input_field": "Say what you think", "output_field": "I do not know at all", "task_type": "generation"},
        {"input_field": "Which?\n0. a\n1. b", "output_field": 1, "task_type": "multiple-choice"},
        {"input_field": "Which?\n0. a\n1. b", "output_field": 7, "task_type": "multiple-choice"},
        {"input_field": "Say nothing, please", "task_type": "generation"},
    ]
    write_parquet(tmp_path / "train.parquet", ours)
    file = put(tmp_path / "asked.jsonl", "".join(json.dumps(row) + "\n" for row in theirs))
    lines = [list(line.values()) for line in beside(tmp_path / "train.parquet", [file])]
    assert lines == [
        ["mc", "ours", "0", *["-"] * 6],
        ["mc", "theirs", "1", "5", "5", "5", "5", "2-2", "1 100%"],  # the other's answer is no option
        ["gen", "ours", "3", "2", "3", "4", "3", "-", "2-5 words 67%, a word 33%"],  # say, it, now: of two, as many
        ["gen", "theirs", "2", "3", "4", "4", "6", "-", "6-20 words 100%"],
    ]
    assert all(len(line) == len(COLUMNS) for line in lines)
