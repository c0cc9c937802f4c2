"""Answering as at the contest: 16 questions at a time, none known before those before it are answered, on the clock.

Limits from the organisers' starter kit (KDD Cup 2024): batches of at most 16; 10 seconds a question, which they could
only measure batch by batch, so a batch of n questions has n times 10 seconds; so many minutes for each track.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from inference.answering.engines.requests import Request
from inference.answering.questions import Question
from spine.atomic import write_text
from spine.errors import RecipeError
from spine.json_rows import json_rows
from spine.paths import shown
from spine.task_types import TaskType

BATCH = 16
SECONDS_A_QUESTION = 10.0
MINUTES = {1: 70, 2: 20, 3: 30, 4: 20}
ALL_AROUND, ALL_AROUND_MINUTES = 5, 140  # track 5 asks the questions of the others
BATCHES = "batches.jsonl"
Batch = tuple[int, ...]  # numbers of questions


@dataclass(frozen=True)
class ContestEngine:
    """Stands in for an engine in an evaluation of ``questions``, and keeps the seconds of each batch in ``folder``.

    ``answer``: takes a batch's prompts and its flag ``is_multiple_choice`` (``answerer.Answerer.answer``).
    """

    folder: Path
    questions: Sequence[Question]
    answer: Callable[[Sequence[str], bool], list[str]]

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, str]]:
        """Yields (index, answer). A batch of which an answer was lost to a kill is asked again, whole."""
        wanted = {request.index for request in requests}
        taken = _taken(self.folder) if len(wanted) < len(self.questions) else {}  # else it is another evaluation's
        for batch in batches(self.questions):
            if wanted.isdisjoint(batch):
                continue
            prompts = [self.questions[index].prompt for index in batch]
            flag = self.questions[batch[0]].asked.type is TaskType.MULTIPLE_CHOICE
            began = monotonic()
            texts = self.answer(prompts, flag)
            taken[batch] = monotonic() - began
            lines = (json.dumps({"questions": asked, "seconds": seconds}) for asked, seconds in taken.items())
            write_text(self.folder / BATCHES, "\n".join(lines) + "\n")  # before its answers: none lies there untimed
            yield from ((index, text) for index, text in zip(batch, texts, strict=True) if index in wanted)


def report(folder: Path, questions: Sequence[Question]) -> dict[str, Any]:
    """What ``scores.json`` holds under ``contest``. Seconds are wall-clock; loading the model is in none of them.

    Raises:
        RecipeError: the seconds of answers that lie in the folder are lost.
    """
    taken = _taken(folder)
    each = {index: seconds / len(batch) for batch, seconds in taken.items() for index in batch}
    if len(each) < len(questions):
        raise RecipeError(
            f"lacks the seconds of {len(questions) - len(each)} answers",
            where=shown(folder / BATCHES),
            way_out="remove the folder and run the same command again",
        )
    late = [batch for batch, seconds in taken.items() if seconds > SECONDS_A_QUESTION * len(batch)]
    return {
        "batch_size": BATCH,
        "batches": len(taken),
        "seconds_a_batch": _spread(list(taken.values())),
        "seconds_a_question": _spread(list(each.values())),
        "limit_seconds_a_question": SECONDS_A_QUESTION,
        "questions_over_the_limit": sum(map(len, late)),
        "tracks": _tracks(questions, each),
    }


def _taken(folder: Path) -> dict[Batch, float]:
    """The seconds of each batch that was answered."""
    if not (folder / BATCHES).exists():
        return {}
    rows = json_rows((folder / BATCHES).read_text(encoding="utf-8"))
    return {tuple(row["questions"]): row["seconds"] for _, row in rows}


def batches(questions: Sequence[Question]) -> list[Batch]:
    """Numbers of the questions asked together: of one task type, as the starter kit groups them, in the file's order.

    A batch has one flag: EC-Guide's yes-or-no questions, which are scored as texts, stay apart from other texts.
    """
    groups: dict[tuple[str, bool], list[int]] = {}
    for index, question in enumerate(questions):
        flag = question.asked.type is TaskType.MULTIPLE_CHOICE
        groups.setdefault((question.type, flag), []).append(index)
    return [tuple(group[at : at + BATCH]) for group in groups.values() for at in range(0, len(group), BATCH)]


def _spread(seconds: list[float]) -> dict[str, float]:
    median, p95 = np.percentile(seconds, [50, 95])
    return {"median": float(median), "p95": float(p95), "slowest": max(seconds)}


def _tracks(questions: Sequence[Question], each: dict[int, float]) -> dict[str, dict[str, Any]]:
    """Minutes for the file's questions of each track, and how many such questions its limit has room for.

    How many the hidden test had is not published by track.
    """
    found: dict[int, list[float]] = {}
    for index, question in enumerate(questions):
        if question.track is not None:
            found.setdefault(question.track, []).append(each[index])
    limits = {track: MINUTES[track] for track in sorted(found)}
    if set(limits) == set(MINUTES):
        found[ALL_AROUND] = [seconds for track in limits for seconds in found[track]]
        limits[ALL_AROUND] = ALL_AROUND_MINUTES
    return {str(track): _projected(found[track], limit) for track, limit in limits.items()}


def _projected(seconds: list[float], limit: int) -> dict[str, Any]:
    minutes = sum(seconds) / 60
    return {
        "questions": len(seconds),
        "minutes": minutes,
        "limit_minutes": limit,
        "fits": minutes <= limit,
        "room_for_questions": int(limit * len(seconds) / minutes),
    }
