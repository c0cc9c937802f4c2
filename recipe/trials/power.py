"""What a trial can show at all: the smallest difference that it would find, and what would find a smaller one."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
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


def groups(tasks: Sequence[Asked], *, drawn: bool = False) -> dict[str, float]:
    """Standard errors, for a question's deviation of 1: overall, of each task type, and of each track.

    ``drawn``: as a bootstrap sees them, which of one question knows no deviation.
    """
    tracks = sorted({task.track for task in tasks if task.track is not None})
    kinds = dict.fromkeys(task.type for task in tasks)
    by_track = {track: _error([task for task in tasks if task.track == track], drawn) for track in tracks}
    found = {"overall": math.hypot(*by_track.values()) / len(tracks)} if tracks else {}
    found |= {kind: _error([task for task in tasks if task.type == kind], drawn) for kind in kinds}
    return found | {f"track {track}": error for track, error in by_track.items()}


def _error(tasks: Sequence[Asked], drawn: bool) -> float:
    counts = [task.questions for task in tasks]
    return math.sqrt(sum((n - 1) / n**2 if drawn else 1 / n for n in counts)) / len(counts)


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


def measured_spread(rows: Iterable[Difference], tasks: Sequence[Asked], seeds: int) -> Spread | None:
    """Of the overall differences of a trial, the widest; None where no task has two questions."""
    unit, rows = groups(tasks, drawn=True).get("overall", 0.0), list(rows)
    if not unit or not rows:
        return None
    training = [row.seed_error * math.sqrt(seeds) for row in rows if row.seed_error is not None]
    return Spread(max(row.question_error for row in rows) / unit, max(training, default=None), "measured")


def more_needed(spread: Spread | None, tasks: Sequence[Asked], seeds: int, size: float) -> str:
    """How many more seeds, or questions, would show an overall difference of ``size``."""
    if spread is None:
        return "one question of each task tells nothing about how far answers spread: ask more of them"
    unit = groups(tasks)["overall"]

    def reached(count: int, times: int) -> float:
        of_seeds = None if spread.training is None else spread.training / math.sqrt(count)
        return detectable(unit * spread.question / math.sqrt(times), of_seeds, count)

    if (now := reached(seeds, 1)) <= size:
        return f"a difference of {size:g} overall would have been shown ({now:.3f} and more in four trials of five)"
    ways = []
    if spread.training and (found := next((n for n in range(seeds + 1, _MOST_SEEDS) if reached(n, 1) <= size), None)):
        ways.append(f"{found} seeds")
    if found := next((times for times in _TIMES if reached(seeds, times) <= size), None):
        ways.append(f"{found} times as many questions")
    needed = " or ".join(ways) or "more of both, questions and seeds"
    return f"this trial shows {now:.3f} overall and more (in four of five); to show {size:g}: {needed}"
