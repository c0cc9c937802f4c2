"""Multiple-choice questions on school knowledge and reading: MMLU's auxiliary training set as it is.

https://github.com/hendrycks/test
mmlu/auxiliary_train.csv (no header; question, 4 choices, letter; invented):

    Which of these floats on water?,a nail,a cork,a coin,a brick,B
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dataset_builders.sources import mmlu
from dataset_builders.task import Question, Seeded, task
from dataset_builders.tasks._common import digest
from recipe.task_types import TaskType

_PASSAGE = 100  # characters


@task(type=TaskType.MULTIPLE_CHOICE, source="mmlu", track=2)
def build(raw: Path, seeded: Seeded) -> Iterator[Question]:
    for item in mmlu.auxiliary(raw):
        if item.question and len(set(filter(None, item.choices))) == len(item.choices):
            # Several questions are on one passage (RACE), and it comes first: they share an entity. The order
            # stays: choices like "both A and C" point at the others, and the letters are even as published.
            entity = f"mmlu:{digest(item.question[:_PASSAGE])}"
            options = [" ".join(choice.split()) for choice in item.choices]
            yield Question(entity, {"question": item.question, "options": options}, item.answer)
