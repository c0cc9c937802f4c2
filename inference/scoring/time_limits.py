"""What the seconds of an evaluation come to beside the contest's limits.

Limits from the organisers' starter kit (KDD Cup 2024): 10 seconds a question, which they could only measure batch by
batch, so a batch of n questions has n times 10 seconds; so many minutes for each track.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inference.answering.contest import BATCH, BATCHES, seconds_taken
from inference.answering.questions import Question
from spine.errors import RecipeError
from spine.paths import shown

SECONDS_A_QUESTION = 10.0
MINUTES = {1: 70, 2: 20, 3: 30, 4: 20}
ALL_AROUND, ALL_AROUND_MINUTES = 5, 140  # track 5 asks the questions of the others


def beside_the_limits(folder: Path, questions: Sequence[Question]) -> dict[str, Any]:
    """What ``scores.json`` holds under ``contest``.

    Raises:
        RecipeError: the seconds of answers that lie in the folder are lost.
    """
    taken = seconds_taken(folder)
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


def _spread(seconds: list[float]) -> dict[str, float]:
    median, p95 = np.percentile(seconds, [50, 95])
    return {"median": float(median), "p95": float(p95), "slowest": max(seconds)}


def _tracks(questions: Sequence[Question], each: dict[int, float]) -> dict[str, dict[str, Any]]:
    """Minutes for the file's questions of each track, and how many such questions its limit has room for.

    How many the hidden test had is not published by track.
    """
    seconds: dict[int, list[float]] = {}
    for index, question in enumerate(questions):
        if question.track is not None:
            seconds.setdefault(question.track, []).append(each[index])
    limits = {track: MINUTES[track] for track in sorted(seconds)}
    if set(limits) == set(MINUTES):
        seconds[ALL_AROUND] = [second for track in limits for second in seconds[track]]
        limits[ALL_AROUND] = ALL_AROUND_MINUTES
    return {str(track): _projected(seconds[track], limit) for track, limit in limits.items()}


def _projected(seconds: list[float], limit: int) -> dict[str, Any]:
    minutes = sum(seconds) / 60
    return {
        "questions": len(seconds),
        "minutes": minutes,
        "limit_minutes": limit,
        "fits": minutes <= limit,
        "room_for_questions": int(limit * len(seconds) / minutes),
    }
