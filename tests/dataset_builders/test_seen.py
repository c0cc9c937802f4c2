"""Questions of an exam that a blend holds are told from others, in whatever words they are asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]
import pytest

from axolotl_configs.render import resolve
from dataset_builders.blend.seen import trained_on
from dataset_builders.pools.rows import SCHEMA
from dataset_builders.task import task_names
from recipe.commands.eval import warn_of_what_was_seen

CORK = "Which of these things floats on cold water?"
ASKED = f"{CORK}\n0. a nail\n1. a cork\n2. a coin\n3. a brick\nAnswer:"
OTHER = "Which of these metals melts in your hand?\n0. iron\n1. lead\n2. gallium\n3. tin\nAnswer:"


def row(prompt: str, source: str) -> dict[str, Any]:
    turns = [{"role": role, "content": text} for role, text in (("system", ""), ("user", prompt), ("assistant", "1"))]
    return dict.fromkeys(SCHEMA.names) | {"messages": turns, "source": source}


def train_file(folder: Path, *rows: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), SCHEMA), folder / "train.parquet")
    return folder / "train.parquet"


def test_an_exam_that_is_trained_on_is_found_and_a_shop_question_is_not(tmp_path: Path) -> None:
    exam = row(f"Choose the right answer.\nQuestion:  {CORK}\n0. a nail\n1. a cork\nAnswer:", "mmlu")
    shop = row(f"Answer.\n{OTHER}", "esci")
    train = train_file(tmp_path, shop, exam, shop)
    assert trained_on(train, [ASKED, OTHER, "Is it?\nAnswer:", ""]) == 1
    assert trained_on(train_file(tmp_path, shop), [ASKED, OTHER]) == 0


def test_a_score_on_it_is_shown_with_a_warning(runs_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    resolved = resolve("v8", "cpu", {}, task_names())
    warn_of_what_was_seen(resolved, [ASKED])  # data that are gone say nothing
    train_file(resolved.run.data, row(ASKED, "mmlu"))
    warn_of_what_was_seen(resolved, [OTHER])
    assert capsys.readouterr().out == ""
    warn_of_what_was_seen(resolved, [ASKED, OTHER])
    assert "1 of these 2 questions are rows that v8 trains on" in capsys.readouterr().out
