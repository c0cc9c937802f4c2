"""What a model must beat: always giving the same answer, chosen per task with the truth in hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from inference.answering.questions import Question
from spine.task_types import TaskType


def constant_answers(questions: Sequence[Question]) -> list[str]:
    """For each question, its task's constant answer.

    Multiple choice: the majority class. Retrieval: the three positions that are right most often. Ranking: the order
    of the list. NER and generation: the commonest right phrase or text.
    """
    of_task: dict[str, list[Question]] = {}
    for question in questions:
        of_task.setdefault(question.task, []).append(question)
    chosen = {name: _constant(group[0].type, [question.truth for question in group]) for name, group in of_task.items()}
    return [chosen[question.task] for question in questions]


def _constant(kind: TaskType, truths: Sequence[Any]) -> str:
    if kind is TaskType.RANKING:
        return ",".join(str(at + 1) for at in range(max(len(truth) for truth in truths)))
    if kind is TaskType.RETRIEVAL:
        return ",".join(map(str, sorted(_commonest(truths, 3))))
    return str(_commonest(truths, 1)[0])


def _commonest(truths: Iterable[Any], number: int) -> list[Any]:
    """Of equally common ones the smallest, so that the answer does not hang on the order of the questions."""
    counts: Counter[Any] = Counter()
    for truth in truths:
        counts.update(truth if isinstance(truth, list) else [truth])
    return sorted(counts, key=lambda value: (-counts[value], str(value).zfill(3)))[:number] or [""]
