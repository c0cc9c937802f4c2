"""Readers and parsers on real published data, where the variable SHOPBENCH_DATA names a folder that holds some."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from dataset_builders.raw import RawData
from dataset_builders.sources import alpaca, mmlu
from inference.parsers import parse
from recipe.task_types import TaskType, answer_text

DATA = Path(os.environ.get("SHOPBENCH_DATA") or "/nonexistent")
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="SHOPBENCH_DATA names no folder")


def test_every_public_answer_survives_our_text_form_and_the_parsers() -> None:
    lines = (DATA / "shopbench" / "development.json").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 96
    for row in map(json.loads, lines):
        kind, truth = TaskType(row["task_type"]), row["output_field"]
        parsed = parse(kind, answer_text(kind, truth))
        if kind is TaskType.RANKING:
            weights = [truth[position - 1] for position in parsed]  # type: ignore[union-attr]
            assert weights == sorted(truth, reverse=True)
        elif kind is TaskType.RETRIEVAL:
            assert parsed == truth[:3]
        elif kind is TaskType.NER:
            assert parsed == truth or any("," in phrase for phrase in truth)
        elif kind is TaskType.MULTIPLE_CHOICE:
            assert parsed == truth


def test_real_mmlu_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "mmlu").mkdir()
    shutil.copytree(DATA / "mmlu" / "test", tmp_path / "mmlu" / "test")
    rows = list(mmlu.test(RawData(tmp_path)))
    assert len(rows) > 7000 and all(len(row.choices) == 4 and 0 <= row.answer < 4 for row in rows)


def test_real_alpaca_rows_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / "alpaca").mkdir()
    shutil.copy(DATA / "alpaca" / "alpaca_en_demo.json", tmp_path / "alpaca" / "alpaca_data_cleaned.json")
    rows = list(alpaca.instructions(RawData(tmp_path)))
    assert len(rows) == 999 and all(row.instruction for row in rows)
