"""How far a difference between two models may be luck: of the questions, and of the trainings.

Questions are drawn again within each task, the same ones for both models and for all trainings. Where each model was
trained several times, with other seeds, a difference also varies from training to training. Of three trainings a
bootstrap over them would draw too narrow an interval (it knows a third less variance than there is, and no tails):
their variance is estimated, and drawn from Student's t of so many. Half of what the questions alone bring into it is
taken off: with none 99 of 100 intervals held the truth where trainings do not differ, with all of it 89 where they do;
so it is 92 to 97 (simulated; tests/inference/test_seeds.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from inference.scoring.predictions import Prediction
from inference.scoring.scores import pooled
from spine.task_types import MICRO_F1

DRAWS = 10_000
LEVEL = 0.05
POWER = 0.8
Pair = tuple[Prediction, Prediction]  # answers of A and of B to one question
_AT_ONCE = 1_000_000  # numbers drawn at a time: 10,000 draws of 14,000 questions would be 1 GB
_EQUAL = 1e-12  # rounding, not a difference
_FINER = 20
_STANDARD = 50_000  # draws for a quantile that no data decide


@dataclass(frozen=True, slots=True)
class Sampled:
    """A difference with what it becomes in each draw.

    Attributes:
        a, b: the scores, means over the trainings.
        by_training: (trainings,) the difference of each pair of trainings.
        within: variance of one of these that comes of its questions alone.
        by_questions: (draws,) the mean difference on new questions.
        by_swaps: (draws,) the same where each question's two answers are swapped at random.
        luck: (draws,) of Student's t, or zeros for a single training.
    """

    a: float
    b: float
    questions: int
    by_training: Any
    within: float
    by_questions: Any
    by_swaps: Any
    luck: Any

    @property
    def question_error(self) -> float:
        """Standard error that comes of the choice of questions."""
        return float(self.by_questions.std())

    @property
    def seed_error(self) -> float | None:
        """Standard error that comes of the trainings; None: there is but one."""
        count = len(self.by_training)
        if count < 2:
            return None
        return float(np.sqrt(max(0.0, self.by_training.var(ddof=1) - self.within / 2) / count))

    @property
    def interval(self) -> tuple[float, float]:
        """95%, over new questions and new trainings."""
        again = self.by_questions + (self.seed_error or 0.0) * self.luck
        low, high = np.percentile(again, (100 * LEVEL / 2, 100 * (1 - LEVEL / 2)))
        return float(low), float(high)

    @property
    def p(self) -> float:
        """Chance of a difference as large where there is none."""
        without = np.abs(self.by_swaps + (self.seed_error or 0.0) * self.luck)
        return float((1 + (without >= abs(self.b - self.a) - _EQUAL).sum()) / (1 + len(without)))


def mean(parts: Sequence[Sampled]) -> Sampled:
    """Of tasks, or of tracks. A training that is lucky is so in all of them at once."""
    a, b, by_training, by_questions, by_swaps = (
        sum(getattr(part, name) for part in parts) / len(parts)
        for name in ("a", "b", "by_training", "by_questions", "by_swaps")
    )
    count, within = sum(part.questions for part in parts), sum(part.within for part in parts) / len(parts) ** 2
    return Sampled(a, b, count, by_training, within, by_questions, by_swaps, parts[0].luck)


def luck_of(trainings: int, draws: int, seed: int) -> Any:
    """(draws,) what a mean over so many trainings is off by, in its standard errors as these are estimated."""
    if trainings < 2:
        return np.zeros(draws)
    random = np.random.default_rng([seed, trainings])
    many = np.sort(random.standard_t(trainings - 1, (draws * _FINER))).reshape(draws, _FINER)
    return random.permutation(many[:, _FINER // 2])  # its quantiles, for few draws of so long tails miss them


def sampled(metric: str, trainings: Sequence[Sequence[Pair]], luck: Any, random: np.random.Generator) -> Sampled:
    """One task's difference.

    Args:
        trainings: of each pair of trainings, the answers to the same questions.
        luck: of ``luck_of``; as many draws are made.
    """
    count, draws = len(trainings[0]), len(luck)
    # Sorted, so that no file's order decides what is drawn: (trainings, questions, sums)
    ordered = [sorted(pairs, key=lambda pair: pair[0].question) for pairs in trainings]
    a, b = (np.array([[_sums(metric, p[side]) for p in pairs] for pairs in ordered], dtype=float) for side in (0, 1))
    again, swapped = np.empty((len(ordered), draws)), np.empty((len(ordered), draws))
    step = max(1, _AT_ONCE // count)
    for at in range(0, draws, step):
        size = min(step, draws - at)
        picks = random.integers(0, count, (size, count), dtype=np.int32)
        swaps = random.integers(0, 2, (size, count), dtype=np.int8).astype(float)
        for one, (of_a, of_b) in enumerate(zip(a, b, strict=True)):
            again[one, at : at + size] = _differences(metric, of_a, of_b, count, picks)
            swapped[one, at : at + size] = _swapped(metric, of_a, of_b, count, swaps)
    scores_a, scores_b = (pooled(metric, side.sum(axis=1), count) for side in (a, b))
    each = scores_b - scores_a
    within = float((again - each[:, None]).var(axis=0, ddof=1).mean()) if len(each) > 1 else 0.0
    return Sampled(
        float(scores_a.mean()), float(scores_b.mean()), count, each, within, again.mean(axis=0), swapped.mean(axis=0),
        luck,
    )  # fmt: skip


def _sums(metric: str, prediction: Prediction) -> tuple[float, ...]:
    if metric == MICRO_F1 and prediction.counts is not None:
        return prediction.counts
    return (prediction.score or 0.0,)


def _differences(metric: str, a: Any, b: Any, count: int, picks: Any) -> Any:
    """``a``, ``b``: (questions, sums); ``picks``: (draws, questions) -> (draws,).

    Means are taken of the differences, so that equal answers give 0 and nothing near it.
    """
    if metric == MICRO_F1:
        return pooled(metric, b[picks].sum(axis=1), count) - pooled(metric, a[picks].sum(axis=1), count)
    return (b - a)[:, 0][picks].sum(axis=1) / count


def _swapped(metric: str, a: Any, b: Any, count: int, swaps: Any) -> Any:
    """``swaps``: (draws, questions), 1 where A's and B's answers change places -> (draws,)."""
    moved = swaps @ (b - a)
    if metric == MICRO_F1:
        return pooled(metric, b.sum(axis=0) - moved, count) - pooled(metric, a.sum(axis=0) + moved, count)
    return ((b - a).sum() - 2 * moved[:, 0]) / count


def detectable(question_error: float, seed_error: float | None, trainings: int) -> float:
    """The smallest difference that would be shown in 80 of 100 such comparisons.

    Args:
        question_error, seed_error: standard errors, of so many questions and ``trainings``; see ``Sampled``.
    """
    of_seeds, random = seed_error or 0.0, np.random.default_rng(0)
    normal = random.standard_normal(_STANDARD)
    shown = np.quantile(question_error * normal + of_seeds * luck_of(trainings, _STANDARD, 0), 1 - LEVEL / 2)
    return float(shown + np.hypot(question_error, of_seeds) * np.quantile(normal, POWER))
