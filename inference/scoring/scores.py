"""From answers to scores: per task, per track, overall, each with a bootstrap confidence interval.

As in the organisers' kit: a task is the mean of its questions (micro F1: pooled), a track the mean of its tasks,
track 5 ("all-around") the mean of the other tracks; a task goes by its first question's metric. Beside each stands what
a model must beat: always giving the same answer, chosen per task with the truth in hand.

    python -m inference.scoring.scores FILE ...

tells how well the rule for task types does on files of questions (docs/evaluation.md).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inference.answering.questions import Question, read_questions
from inference.scoring import metrics
from inference.scoring.metrics import NotComputed
from inference.scoring.parsers import parse
from spine.asked import asked
from spine.task_types import MICRO_F1, TaskType

SCORES = "scores.json"
RESAMPLES = 1_000
_LEVEL = (2.5, 97.5)  # percentiles: 95% intervals


@dataclass(frozen=True, slots=True)
class ScoredAnswer:
    """A question, what was answered, and its worth from 0 to 1 (None: the metric cannot be computed here)."""

    question: Question
    text: str
    score: float | None

    @property
    def phrases(self) -> tuple[int, int, int]:
        """Right, wrong and missed phrases: what micro F1 adds up."""
        said: Any = parse(self.question.type, self.text)
        truth: Any = self.question.truth
        return metrics.entity_counts(said, truth)


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

    @property
    def left_out(self) -> tuple[str, ...]:
        return (self.name,) if self.score is None else ()


@dataclass(frozen=True, slots=True)
class TrackScore(Score):
    """``left_out``: its tasks whose metric could not be computed, by name."""

    constant: float | None
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Scores:
    """All scores of one evaluation. ``overall``: the mean of ``tracks``, or of ``tasks`` if none has a track."""

    tasks: list[TaskScore]
    tracks: dict[int, TrackScore]
    overall: TrackScore


def score(
    questions: Sequence[Question], texts: Sequence[str], seed: int = 0
) -> tuple[Scores, list[ScoredAnswer], dict[str, str]]:
    """The scores, every scored answer, and the metrics that cannot be computed here with the reason for each.

    Args:
        texts: the answers, in the order of ``questions``.
        seed: of the bootstrap.
    """
    random = np.random.default_rng(seed)
    answers, missing = _scored(questions, texts)
    constants, _ = _scored(questions, constant_answers(questions))
    tasks = [
        _task(name, [answers[at] for at in places], [constants[at] for at in places], missing, random)
        for name, places in _places(questions).items()
    ]
    numbers = sorted({task.track for task, _ in tasks if task.track is not None})
    tracks = {number: _mean([(task, means) for task, means in tasks if task.track == number]) for number in numbers}
    overall, _ = _mean(list(tracks.values()) or tasks)
    in_order = sorted((task for task, _ in tasks), key=lambda task: (task.track or 99, natural(task.name)))
    return Scores(in_order, {number: track for number, (track, _) in tracks.items()}, overall), answers, missing


def _scored(questions: Sequence[Question], texts: Sequence[str]) -> tuple[list[ScoredAnswer], dict[str, str]]:
    missing: dict[str, str] = {}
    answers = []
    for question, text in zip(questions, texts, strict=True):
        worth = None
        if question.metric not in missing:
            try:
                worth = metrics.scorer(question.metric)(parse(question.type, text), question.truth)
            except NotComputed as error:
                missing[question.metric] = str(error)
        answers.append(ScoredAnswer(question, text, worth))
    return answers, missing


def _places(questions: Sequence[Question]) -> dict[str, list[int]]:
    """Where each task's questions stand."""
    places: dict[str, list[int]] = {}
    for at, question in enumerate(questions):
        places.setdefault(question.task, []).append(at)
    return places


def _task(
    name: str, items: list[ScoredAnswer], constants: list[ScoredAnswer], missing: dict[str, str],
    random: np.random.Generator,
) -> tuple[TaskScore, Any]:  # fmt: skip
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
    worth, constant = (
        float(pooled(first.metric, _table(first.metric, part).sum(axis=0)[None], len(part))[0])
        for part in (known, constants)
    )
    task = TaskScore(worth, float(low), float(high), len(items), name, first.metric, first.track, constant, reason)
    return task, means


def _table(metric: str, items: Sequence[ScoredAnswer]) -> Any:
    """What is summed over questions: (questions, 3) counts for micro F1, else (questions, 1) scores."""
    if metric == MICRO_F1:
        return np.array([item.phrases for item in items], dtype=float)
    return np.array([[item.score or 0.0] for item in items], dtype=float)


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


def _mean(parts: Sequence[tuple[TaskScore | TrackScore, Any]]) -> tuple[TrackScore, Any]:
    """Of tasks or of tracks, each with its means over the resamplings; those without a score are left out."""
    known = [(part, means) for part, means in parts if part.score is not None]
    left_out = tuple(name for part, _ in parts for name in part.left_out)
    count = sum(part.questions for part, _ in parts)
    if not known:
        return TrackScore(None, None, None, count, None, left_out), None
    means = np.mean([means for _, means in known], axis=0)
    low, high = np.percentile(means, _LEVEL)
    worth = sum(part.score or 0.0 for part, _ in known) / len(known)
    constant = sum(part.constant or 0.0 for part, _ in known) / len(known)
    return TrackScore(worth, float(low), float(high), count, constant, left_out), means


def natural(name: str) -> tuple[object, ...]:
    """``task2`` before ``task10``."""
    digits = "".join(char for char in name if char.isdigit())
    return name.rstrip("0123456789"), int(digits or 0), name


def constant_answers(questions: Sequence[Question]) -> list[str]:
    """For each question, its task's constant answer.

    Multiple choice: the majority class. Retrieval: the three positions that are right most often. Ranking: the order
    of the list. NER and generation: the commonest right phrase or text.
    """
    chosen = {
        name: _constant(questions[places[0]].type, [questions[at].truth for at in places])
        for name, places in _places(questions).items()
    }
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


def confusion(questions: Iterable[Question], *, told: bool) -> Counter[tuple[TaskType, TaskType]]:
    """(the file's task type, ours) -> questions. ``told``: is_multiple_choice is known, as at the contest."""
    counts: Counter[tuple[TaskType, TaskType]] = Counter()
    for question in questions:
        kind = TaskType.MULTIPLE_CHOICE if question.metric == "bool" else question.type
        flag = kind is TaskType.MULTIPLE_CHOICE if told else None
        counts[kind, asked(question.prompt, flag).type] += 1
    return counts


if __name__ == "__main__":
    exam = [question for file in sys.argv[1:] for question in read_questions(Path(file))]
    for told in (True, False):
        print(f"is_multiple_choice {'known' if told else 'guessed'}: file's task type, ours, questions")
        for (kind, ours), count in sorted(confusion(exam, told=told).items()):
            print(f"  {kind.short:12} {ours.short:12} {count:8,}{'' if kind is ours else '  wrong'}")
