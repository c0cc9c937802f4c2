"""Which questions are unfit, and what is said of them."""

from __future__ import annotations

from typing import Any

import pytest

from dataset_builders.pools.fitness import problem
from dataset_builders.task import Question
from spine.task_types import TaskType

MC, RANK, FIND = TaskType.MULTIPLE_CHOICE, TaskType.RANKING, TaskType.RETRIEVAL
NER, GEN = TaskType.NER, TaskType.GENERATION
FIVE = {"items": list("abcde")}


@pytest.mark.parametrize(
    ("task_type", "fields", "truth"),
    [
        (MC, {"options": ["red", "blue"]}, 0),
        (MC, {}, 5),
        (FIND, FIVE, [1, 5, 3]),
        (FIND, FIVE, [2]),
        (RANK, FIVE, [1.0, 0.0, 0.0, 0.0, 0.0]),
        (NER, {}, ["oak", "bread board"]),
        (GEN, {}, "A title"),
    ],
)
def test_fit(task_type: TaskType, fields: dict[str, Any], truth: Any) -> None:
    assert problem(task_type, Question("product:1", fields, truth)) is None


@pytest.mark.parametrize(
    ("task_type", "fields", "truth", "why"),
    [
        (MC, {"options": ["red", "blue"]}, 2, "not among the options"),
        (MC, {"options": ["red", "blue"]}, -1, "not among the options"),
        (MC, {"options": ["red", "blue"]}, "0", "not a number"),
        (MC, {"options": ["red", "red"]}, 0, "the same"),
        (MC, {"options": ["red", " "]}, 0, "empty"),
        (MC, {"options": ["red"]}, 0, "fewer than two"),
        (MC, {"options": [str(number) for number in range(11)]}, 0, "one digit"),
        (MC, {}, 0, "no rating"),
        (FIND, {}, [1], "fewer than two"),
        (FIND, FIVE, [], "0 positions"),
        (FIND, FIVE, [1, 2, 3, 4], "4 positions"),
        (FIND, FIVE, [1, 1, 2], "twice"),
        (FIND, FIVE, [0, 1, 2], "position 0"),
        (FIND, FIVE, [1, 2, 6], "position 6"),
        (FIND, {"items": ["a", "a"]}, [1], "the same"),
        (RANK, FIVE, [1.0, 0.0], "2 weights for 5 items"),
        (RANK, FIVE, [0.1] * 5, "equal"),
        (RANK, {"items": list("abcdef")}, [1.0, 0, 0, 0, 0, 0], "at most 5"),
        (NER, {}, [], "no phrase"),
        (NER, {}, "oak", "no phrase"),
        (NER, {}, ["oak", ""], "empty"),
        (NER, {}, ["oak, red"], "comma"),
        (NER, {}, ["oak\nred"], "line end"),
        (NER, {}, ["oak", "oak"], "twice"),
        (GEN, {}, " \n", "empty"),
    ],
)
def test_unfit(task_type: TaskType, fields: dict[str, Any], truth: Any, why: str) -> None:
    assert why in (problem(task_type, Question("product:1", fields, truth)) or "nothing")
