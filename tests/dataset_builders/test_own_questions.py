"""Files of the user's own, in ShopBench's form and with EC-Guide's quirks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dataset_builders.own_questions import own_task
from dataset_builders.raw import RawData
from dataset_builders.task import Question, Seeded
from spine.errors import RecipeError
from spine.task_types import TaskType
from tests.dataset_builders.raw_files import put, write_csv, write_parquet

ROW: dict[str, Any] = {"input_field": "Which?\n0. a\n1. b\nAnswer:", "output_field": 1, "task_type": "multiple-choice"}
LIST = "Select.\n1. x\n2. y\n3. z\n4. w\nOutput:"


def read(path: Path, **more: Any) -> list[Question]:
    return list(own_task("own", path).build(RawData(path.parent, **more), Seeded(0, "own")))


def test_every_kind_of_file_is_read_alike(tmp_path: Path) -> None:
    lines = put(tmp_path / "a.jsonl", json.dumps(ROW) + "\n")
    same = [
        put(tmp_path / "b.json", json.dumps([ROW])),
        put(tmp_path / "c.json", json.dumps(ROW) + "\n"),  # lines under the name of an array
        put(tmp_path / "d.jsonl.gz", json.dumps(ROW)),
        write_parquet(tmp_path / "e.parquet", [ROW | {"output_field": "1"}]),
    ]
    write_csv(tmp_path / "f.csv", [list(ROW), list(ROW.values())])
    assert [read(path) for path in (*same, tmp_path / "f.csv")] == [read(lines)] * 5
    (question,) = read(lines)
    assert question.truth == 1 and question.type is TaskType.MULTIPLE_CHOICE


@pytest.mark.parametrize(
    ("row", "kind", "truth"),
    [
        ({"output_field": "1"}, TaskType.MULTIPLE_CHOICE, 1),
        ({"output_field": "yes"}, TaskType.GENERATION, "yes"),
        ({"input_field": "Rate it from 1 to 5.", "output_field": 5}, TaskType.MULTIPLE_CHOICE, 5),
        ({"task_type": "retrieval", "input_field": LIST, "output_field": [4, 1]}, TaskType.RETRIEVAL, [4, 1]),
        ({"task_type": "retrieval", "input_field": LIST, "output_field": [1, 2, 3, 4]}, TaskType.RETRIEVAL, [1, 2, 3]),
        (
            {"task_type": "retrieval", "input_field": "Products: 0. x\n1. y\n2. z", "output_field": "[0, 2]"},
            TaskType.RETRIEVAL,
            [0, 2],
        ),
        ({"task_type": "ranking", "input_field": LIST, "output_field": [1, 0, 0.1, 0.01]}, TaskType.RANKING, None),
        ({"task_type": "named_entity_recognition", "output_field": ["oak"]}, TaskType.NER, ["oak"]),
        ({"task_type": "generation", "output_field": " A text. "}, TaskType.GENERATION, "A text."),
    ],
)
def test_answers_in_all_their_forms(row: dict[str, Any], kind: TaskType, truth: Any, tmp_path: Path) -> None:
    (question,) = read(put(tmp_path / "own.jsonl", json.dumps(ROW | row)))
    assert question.type is kind and question.truth == (truth if truth is not None else row["output_field"])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"output_field": 2}, "the answer 2 is not among the options [0, 1]"),
        ({"output_field": [1]}, "the answer [1] is not among the options"),
        ({"input_field": " "}, "input_field is empty"),
        ({"task_type": "quiz"}, "task_type 'quiz' is none of multiple-choice"),
        ({"task_type": "retrieval", "input_field": LIST, "output_field": [5]}, "the answer 5 is not in the list"),
        ({"task_type": "retrieval", "input_field": LIST, "output_field": "1,2"}, "a list of numbers was expected"),
        ({"task_type": "ranking", "input_field": LIST, "output_field": [1, 1]}, "2 weights for a list of 4"),
        ({"task_type": "ranking", "input_field": LIST, "output_field": [1, 1, 1, 1]}, "all weights are equal"),
        ({"task_type": "named_entity_recognition", "output_field": ["a\nb"]}, "holds a line end"),
        ({"task_type": "named_entity_recognition", "output_field": "oak"}, "a list of phrases was expected"),
        ({"task_type": "generation", "output_field": ""}, "the answer is empty"),
    ],
)
def test_an_answer_that_does_not_fit_is_rejected_by_name(row: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = put(tmp_path / "own.jsonl", json.dumps(ROW) + "\n" + json.dumps(ROW | row))
    with pytest.raises(RecipeError) as caught:
        read(path)
    assert said in str(caught.value) and "own.jsonl:2" in str(caught.value) and "max_rejected" in str(caught.value)
    assert len(read(path, max_rejected=0.5)) == 1
