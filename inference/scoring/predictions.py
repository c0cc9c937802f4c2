"""``predictions.jsonl``, one line per question: the answer, what it was worth, and a name for the question.

Enough to compare two evaluations without the file of questions, the models, or the libraries of the metrics.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from inference.answering.questions import Question
from inference.scoring.scores import ScoredAnswer
from spine.errors import RecipeError
from spine.json_rows import json_rows
from spine.manifest import digest
from spine.paths import shown
from spine.task_types import METRIC_NAMES, MICRO_F1, TaskType

_KEY_LETTERS = 16


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer, scored.

    Attributes:
        question: the question's name, ``key``.
        type: as the file of questions has it.
        score: 0 to 1; None where the metric could not be computed.
        counts: right, wrong and missed phrases, for micro F1, which is pooled over a task's questions.
        answer: as the model wrote it.
    """

    question: str
    task: str
    track: int | None
    type: TaskType
    metric: str
    score: float | None
    counts: tuple[int, int, int] | None = None
    answer: str = ""

    def __post_init__(self) -> None:
        if self.metric not in METRIC_NAMES or (self.metric == MICRO_F1 and self.counts is None):
            raise ValueError(f"metric {self.metric}, counts {self.counts}")
        if self.score is not None and not math.isfinite(self.score):
            raise ValueError(f"the score {self.score} is no number")


def key(question: Question) -> str:
    """A name for a question: another prompt, right answer, metric, task or track is another question."""
    told = [question.prompt, question.truth, question.type, question.metric, question.task, question.track]
    return digest(told)[:_KEY_LETTERS]


def as_row(index: int, answer: ScoredAnswer) -> dict[str, Any]:
    """The line of question number ``index``."""
    question = answer.question
    return {
        "index": index,
        "question": key(question),
        "task": question.task,
        "track": question.track,
        "type": question.type,
        "metric": question.metric,
        "score": answer.score,
        **({"counts": answer.phrases} if question.metric == MICRO_F1 else {}),
        "answer": answer.text,
    }


def read_predictions(path: Path) -> list[Prediction]:
    """The lines of a finished evaluation.

    Raises:
        RecipeError: no such file; a line that is none, or that is not scored.
    """
    try:
        rows = list(json_rows(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise RecipeError(f"cannot be read: {error}", where=shown(path)) from error
    return [_prediction(row, f"{shown(path)}:{number}") for number, row in rows]


def _prediction(row: Any, where: str) -> Prediction:
    if isinstance(row, dict) and "answer" in row and "question" not in row:
        way_out = "run the same `recipe eval` again: the answers are kept, and scored anew"
        raise RecipeError("the answer stands there without its score", where=where, way_out=way_out)
    try:
        return _schema().validate_python(row)
    except ValueError as error:
        raise RecipeError(f"is no line of an evaluation: {error}", where=where) from error


@cache
def _schema() -> TypeAdapter[Prediction]:
    return TypeAdapter(Prediction)
