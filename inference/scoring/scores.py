"""From scored answers to tables: per task, per track, overall, each with a bootstrap confidence interval.

As in the organisers' kit: a task is the mean of its questions (micro F1: pooled), a track the mean of its tasks,
track 5 ("all-around") the mean of the other tracks; a task goes by its first question's metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inference.answering.questions import Question
from inference.scoring import metrics
from inference.scoring.metrics import MICRO_F1, NotComputed
from inference.scoring.parsers import parse

RESAMPLES = 1_000
_LEVEL = (2.5, 97.5)  # percentiles: 95% intervals


@dataclass(frozen=True, slots=True)
class Answered:
    """A question, what was answered, and its worth from 0 to 1 (None: the metric cannot be computed here)."""

    question: Question
    text: str
    score: float | None


@dataclass(frozen=True, slots=True)
class Score:
    """``low`` and ``high``: 95% interval; all three are None where nothing could be computed."""

    score: float | None
    low: float | None
    high: float | None
    questions: int


@dataclass(frozen=True, slots=True)
class TaskScore(Score):
    """``constant``: what always giving one answer, the commonest right one, would score."""

    name: str
    metric: str
    track: int | None
    constant: float | None
    not_computed: str | None


@dataclass(frozen=True, slots=True)
class TrackScore(Score):
    """``left_out``: its tasks whose metric could not be computed, by name."""

    constant: float | None
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """All scores of one evaluation. ``overall``: the mean of ``tracks``, or of ``tasks`` if none has a track."""

    tasks: list[TaskScore]
    tracks: dict[int, TrackScore]
    overall: TrackScore

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def answered(questions: Sequence[Question], texts: Sequence[str]) -> tuple[list[Answered], dict[str, str]]:
    """Parses and scores every answer; the metrics that cannot be computed here, with the reason for each."""
    missing: dict[str, str] = {}
    made = []
    for question, text in zip(questions, texts, strict=True):
        score = None
        if question.metric not in missing:
            try:
                score = metrics.scorer(question.metric)(read(question, text), question.truth)
            except NotComputed as error:
                missing[question.metric] = str(error)
        made.append(Answered(question, text, score))
    return made, missing


def read(question: Question, text: str) -> Any:
    """The answer as the question's metric wants it."""
    return parse(question.type, text)


def report(scored: Sequence[Answered], constants: Sequence[Answered], missing: dict[str, str], seed: int = 0) -> Report:
    """Adds scored answers up.

    Args:
        scored: of ``answered``.
        constants: the same questions with each task's constant answer (``inference.scoring.baselines``).
        missing: of ``answered``.
        seed: of the bootstrap.
    """
    random = np.random.default_rng(seed)
    groups: dict[str, list[int]] = {}
    for at, item in enumerate(scored):
        groups.setdefault(item.question.task, []).append(at)
    tasks, resampled = [], {}
    for name, places in groups.items():
        task, means = _task(name, [scored[at] for at in places], [constants[at] for at in places], missing, random)
        tasks.append(task)
        resampled[name] = means
    tracks, track_means = {}, {}
    for number in sorted({task.track for task in tasks if task.track is not None}):
        tracks[number], track_means[number] = _mean([t for t in tasks if t.track == number], resampled)
    overall = _mean_of_tracks(tracks, track_means) if tracks else _mean(tasks, resampled)[0]
    return Report(sorted(tasks, key=lambda task: (task.track or 99, natural(task.name))), tracks, overall)


def _task(
    name: str, items: list[Answered], constants: list[Answered], missing: dict[str, str], random: np.random.Generator
) -> tuple[TaskScore, Any]:
    """The task's score, and its means over RESAMPLES resamplings of its questions, shape (RESAMPLES,)."""
    first = items[0].question
    known = [item for item in items if item.score is not None]
    lacking = sorted({item.question.metric for item in items if item.score is None})
    reason = "; ".join(missing[metric] for metric in lacking) or None
    if not known or lacking:  # a task of which a part cannot be scored has no score
        return TaskScore(None, None, None, len(items), name, first.metric, first.track, None, reason), None
    table = _table(first.metric, known)
    picks = random.integers(0, len(known), (RESAMPLES, len(known)))
    means = pooled(first.metric, table[picks].sum(axis=1), len(known))
    low, high = np.percentile(means, _LEVEL)
    score, constant = (
        float(pooled(first.metric, _table(first.metric, part).sum(axis=0)[None], len(part))[0])
        for part in (known, constants)
    )
    made = TaskScore(score, float(low), float(high), len(items), name, first.metric, first.track, constant, reason)
    return made, means


def _table(metric: str, items: Sequence[Answered]) -> Any:
    """What is summed over questions: (questions, 3) counts for micro F1, else (questions, 1) scores."""
    if metric == MICRO_F1:
        return np.array([phrases(item) for item in items], dtype=float)
    return np.array([[item.score or 0.0] for item in items], dtype=float)


def phrases(item: Answered) -> tuple[int, int, int]:
    """Right, wrong and missed phrases of one answer: what micro F1 adds up."""
    return metrics.entity_counts(read(item.question, item.text), item.question.truth)  # type: ignore[arg-type]


def pooled(metric: str, sums: Any, count: int) -> Any:
    """A task's score from what was summed over its ``count`` questions.

    Args:
        sums: (resamplings, 3) right, wrong and missed phrases for micro F1; (resamplings, 1) scores for any other.

    Returns:
        (resamplings,)
    """
    if metric == MICRO_F1:
        return np.array([metrics.f1(*row) for row in sums])
    return sums[:, 0] / count


def _mean(tasks: list[TaskScore], resampled: dict[str, Any]) -> tuple[TrackScore, Any]:
    known = [task for task in tasks if task.score is not None]
    left_out = tuple(task.name for task in tasks if task.score is None)
    count = sum(task.questions for task in tasks)
    if not known:
        return TrackScore(None, None, None, count, None, left_out), None
    means = np.mean([resampled[task.name] for task in known], axis=0)
    return _track([t.score for t in known], [t.constant for t in known], means, count, left_out), means


def _mean_of_tracks(tracks: dict[int, TrackScore], means: dict[int, Any]) -> TrackScore:
    known = {number: track for number, track in tracks.items() if track.score is not None}
    left_out = tuple(name for track in tracks.values() for name in track.left_out)
    count = sum(track.questions for track in tracks.values())
    if not known:
        return TrackScore(None, None, None, count, None, left_out)
    together = np.mean([means[number] for number in known], axis=0)
    scores, constants = [t.score for t in known.values()], [t.constant for t in known.values()]
    return _track(scores, constants, together, count, left_out)


def _track(
    scores: Sequence[float | None],
    constants: Sequence[float | None],
    means: Any,
    count: int,
    left_out: tuple[str, ...],
) -> TrackScore:
    low, high = np.percentile(means, _LEVEL)
    score, constant = (sum(value or 0.0 for value in values) / len(values) for values in (scores, constants))
    return TrackScore(score, float(low), float(high), count, constant, left_out)


def natural(name: str) -> tuple[object, ...]:
    """``task2`` before ``task10``."""
    digits = "".join(char for char in name if char.isdigit())
    return name.rstrip("0123456789"), int(digits or 0), name
