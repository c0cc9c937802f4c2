"""What a trial can show at all: the smallest difference that it would find, and what would find a smaller one."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inference.scoring.compare import Difference
from inference.scoring.draws import detectable

RECORD = "trial.json"
_MOST_SEEDS = 30
_TIMES = (2, 3, 4, 6, 8, 12, 16, 25, 50, 100)  # as many questions


@dataclass(frozen=True)
class Asked:
    """A task, and how many questions of it are asked."""

    track: int | None
    type: str
    questions: int

    def more(self) -> Asked:
        return replace(self, questions=self.questions + 1)


@dataclass(frozen=True)
class Spread:
    """Standard deviations: of a question's paired difference, and of the difference between two blends from one pair of
    trainings to the next (None: unknown). ``source``: where they are from."""

    question: float
    training: float | None
    source: str


# Answers right or wrong, of which a fifth differ: the root of a fifth. The other one is a guess.
ASSUMED = Spread(0.45, 0.02, "assumed; a trial that was run on this profile tells")


def groups(tasks: Sequence[Asked]) -> dict[str, float]:
    """Standard errors, for a question's deviation of 1: overall, of each task type, and of each track."""
    tracks = sorted({task.track for task in tasks if task.track is not None})
    kinds = dict.fromkeys(task.type for task in tasks)
    by_track = {track: _error([task for task in tasks if task.track == track]) for track in tracks}
    found = {"overall": math.hypot(*by_track.values()) / len(tracks)} if tracks else {}
    found |= {kind: _error([task for task in tasks if task.type == kind]) for kind in kinds}
    return found | {f"track {track}": error for track, error in by_track.items()}


def _error(tasks: Sequence[Asked]) -> float:
    return math.sqrt(sum(1 / task.questions for task in tasks)) / len(tasks)


def expected(tasks: Sequence[Asked], seeds: int, spread: Spread) -> dict[str, float]:
    """The smallest difference that is shown in four trials of five, overall and by type and track."""
    of_seeds = None if seeds < 2 or spread.training is None else spread.training / math.sqrt(seeds)
    return {name: detectable(unit * spread.question, of_seeds, seeds) for name, unit in groups(tasks).items()}


def known_spread(profile_folder: Path) -> Spread:
    """From the trials that were run on the profile; the widest, if there are several."""
    found = []
    for file in sorted(profile_folder.glob(f"*/{RECORD}")):
        try:
            told = json.loads(file.read_text(encoding="utf-8"))["spread"]
            found.append(
                Spread(told["question"], told["training"] or ASSUMED.training, f"measured, {file.parent.name}")
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue  # another's file
    return max(found, key=lambda one: one.question, default=ASSUMED)


def measured_spread(rows: Mapping[str, Difference], tasks: Sequence[Asked], seeds: int) -> Spread:
    """Of the overall differences of a trial."""
    unit = groups(tasks)["overall"]
    training = [row.seed_error * math.sqrt(seeds) for row in rows.values() if row.seed_error is not None]
    question = max(row.question_error for row in rows.values()) / unit
    return Spread(question, max(training, default=None), "measured")


def more_needed(row: Difference, seeds: int, size: float) -> str:
    """How many more seeds, or questions, would show a difference of ``size``."""
    training = (row.seed_error or 0.0) * math.sqrt(seeds)
    reached = detectable(row.question_error, row.seed_error, seeds)
    if reached <= size:
        return f"a difference of {size:g} would have been shown ({reached:.3f} and more in four trials of five)"
    ways = list(_ways(row, seeds, training, size))
    return f"to show a difference of {size:g}: " + (" or ".join(ways) if ways else "more of both, questions and seeds")


def _ways(row: Difference, seeds: int, training: float, size: float) -> Iterator[str]:
    def of(count: int, times: int) -> float:
        error = row.question_error / math.sqrt(times)
        return detectable(error, training / math.sqrt(count) if row.seed_error is not None else None, count)

    if training and (found := next((count for count in range(seeds + 1, _MOST_SEEDS) if of(count, 1) <= size), None)):
        yield f"{found} seeds"
    if found := next((times for times in _TIMES if of(seeds, times) <= size), None):
        yield f"{found} times as many questions"
