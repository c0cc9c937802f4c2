"""``predictions.jsonl``, one line per question: the answer, what it was worth, and a name for the question.

Enough to compare two evaluations without the file of questions, the models, or the libraries of the metrics.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.answering.questions import Question
from inference.scoring.metrics import METRICS, MICRO_F1
from inference.scoring.scores import Answered, phrases
from spine.errors import RecipeError
from spine.json_rows import json_rows
from spine.manifest import digest
from spine.paths import shown
from spine.task_types import TaskType

PREDICTIONS = "predictions.jsonl"
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
    counts: tuple[int, int, int] | None
    answer: str = ""


def key(question: Question) -> str:
    """A name for a question: another prompt, right answer, metric, task or track is another question."""
    told = [question.prompt, question.truth, question.type, question.metric, question.task, question.track]
    return digest(told)[:_KEY_LETTERS]


def as_row(index: int, item: Answered) -> dict[str, Any]:
    """The line of question number ``index``."""
    question = item.question
    counted = {"counts": phrases(item)} if question.metric == MICRO_F1 else {}
    return {
        "index": index,
        "question": key(question),
        "task": question.task,
        "track": question.track,
        "type": question.type,
        "metric": question.metric,
        "score": item.score,
        **counted,
        "answer": item.text,
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
    return [_prediction(path, number, found) for number, found in rows]


def _prediction(path: Path, number: int, found: Any) -> Prediction:
    where = f"{shown(path)}:{number}"
    if isinstance(found, dict) and "answer" in found and "question" not in found:
        way_out = "run the same `recipe eval` again: the answers are kept, and scored anew"
        raise RecipeError("the answer stands there without its score", where=where, way_out=way_out)
    try:
        counts = found.get("counts")
        made = Prediction(
            str(found["question"]), str(found["task"]), found["track"], TaskType(found["type"]), found["metric"],
            None if found["score"] is None else float(found["score"]),
            None if counts is None else (int(counts[0]), int(counts[1]), int(counts[2])),
            str(found["answer"]),
        )  # fmt: skip
        if made.metric not in METRICS or (made.metric == MICRO_F1 and made.counts is None):
            raise ValueError(f"metric {made.metric}, counts {counts}")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise RecipeError(f"is no line of an evaluation: {error!r}", where=where) from error
    return made
