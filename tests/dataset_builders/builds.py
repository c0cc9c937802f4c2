"""What builders make of a folder of raw files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from dataset_builders.pools.fitness import problem
from dataset_builders.raw import RawData
from dataset_builders.task import Question, Seeded, load_task


@cache
def built(name: str, raw: Path) -> Sequence[Question]:
    task = load_task(name)
    questions = list(task.build(RawData(raw), Seeded(0, name)))
    assert all(problem(task.type, question) is None for question in questions)
    return questions
