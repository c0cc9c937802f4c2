"""Two evaluations of the same questions: how much they differ, and whether that is more than luck.

The interval is a paired bootstrap's (Koehn 2004, "Statistical significance tests for machine translation evaluation"):
questions are drawn again within each task, the same ones for both models. A verdict also asks a randomisation test
(Noreen 1989): how often is the difference as large when each question's two answers are swapped at random? With four
questions, all answered better, the bootstrap's interval has no width; the swaps still say 2 in 16.

Of twenty tasks that do not differ, one interval excludes 0 by chance. Tasks are therefore judged together, and so are
tracks, with Holm's correction (Holm 1979): among all verdicts of a table, a false one has a chance of 5% at most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from inference.scoring.predictions import Prediction
from inference.scoring.scores import natural, pooled
from spine.errors import RecipeError
from spine.task_types import MICRO_F1, TaskType

DRAWS = 10_000
LEVEL = 0.05
_AT_ONCE = 1_000_000  # numbers drawn at a time: 10,000 draws of 14,000 questions would be 1 GB
_EQUAL = 1e-12  # rounding, not a difference
_FEW = 20
Pair = tuple[Prediction, Prediction]


class Verdict(StrEnum):
    """What the data show of the second model beside the first."""

    BETTER = "better"
    WORSE = "worse"
    NONE = "no difference"


@dataclass(frozen=True, slots=True)
class Difference:
    """The second model, B, beside the first, A.

    Attributes:
        metric, track: of a task; of several together, "" and None.
        difference: ``b - a``; ``low`` and ``high``: its 95% interval.
        p: chance of a difference as large where there is none, corrected for how many are judged together.
    """

    name: str
    questions: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float
    verdict: Verdict
    metric: str = ""
    track: int | None = None


@dataclass(frozen=True)
class Comparison:
    """``overall``: the mean of ``tracks``, None without any; ``left_out``: tasks whose metric could not be computed.

    ``types``: each one the mean of its tasks, as a track is.
    """

    questions: int
    tasks: list[Difference]
    types: list[Difference]
    tracks: list[Difference]
    overall: Difference | None
    left_out: list[str]

    @property
    def means(self) -> list[Difference]:
        """Of all tracks, where there are any, and of each."""
        return [*([self.overall] if self.overall else []), *self.tracks]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Sampled:
    """A difference with what it becomes in each draw: ``again``, of new questions; ``swapped``, of swapped answers."""

    a: float
    b: float
    questions: int
    again: Any
    swapped: Any

    @property
    def p(self) -> float:
        as_large = np.abs(self.swapped) >= abs(self.b - self.a) - _EQUAL
        return float((1 + as_large.sum()) / (1 + len(as_large)))


def matched(a: Sequence[Prediction], b: Sequence[Prediction], *, common: bool = False) -> list[Pair]:
    """The answers to the same question side by side, in the order of ``a``; positions do not matter.

    A question that a file holds twice is matched twice. ``common``: what only one of them has is left out.

    Raises:
        RecipeError: the questions are not the same ones.
    """
    of_b = dict(zip(_keys(b), b, strict=True))
    pairs = [(one, of_b[key]) for key, one in zip(_keys(a), a, strict=True) if key in of_b]
    if not pairs or (not common and not len(a) == len(b) == len(pairs)):
        shared = f"--common compares on those {len(pairs):,}; or " if pairs else ""
        raise RecipeError(
            f"predictions from another question file: A answered {len(a):,} questions, B {len(b):,}, "
            f"{len(pairs):,} of them the same",
            way_out=f"{shared}evaluate both on one file: make eval-BLEND QUESTIONS=file",
        )
    return pairs


def _keys(rows: Sequence[Prediction]) -> list[tuple[str, int]]:
    """Each question's name, and which one of its like it is."""
    seen: Counter[str] = Counter()
    keys = []
    for row in rows:
        keys.append((row.question, seen[row.question]))
        seen[row.question] += 1
    return keys


def compare(pairs: Sequence[Pair], *, draws: int = DRAWS, seed: int = 0) -> Comparison:
    """What differs, per task, per task type and track (the mean of its tasks) and overall (the mean of the tracks).

    Args:
        pairs: of ``matched``: (answer of A, answer of B).
        draws: of new questions, and of swaps.
    """
    random = np.random.default_rng(seed)
    tasks: dict[str, list[Pair]] = {}
    for pair in pairs:
        tasks.setdefault(pair[0].task, []).append(pair)
    heads = {name: group[0][0] for name, group in tasks.items()}  # a task goes by its first question, as in the kit
    left_out = [name for name, group in tasks.items() if any(one.score is None for pair in group for one in pair)]
    names = sorted(tasks.keys() - left_out, key=lambda name: (heads[name].track or 99, natural(name)))
    sampled = {name: _sampled(heads[name].metric, tasks[name], draws, random) for name in names}
    rows = [replace(row, metric=heads[row.name].metric, track=heads[row.name].track) for row in _judged(sampled)]
    kinds = {kind: [sampled[row.name] for row in rows if heads[row.name].type is kind] for kind in TaskType}
    by_type = {kind.value: _mean(parts) for kind, parts in kinds.items() if parts}
    numbers = sorted({row.track for row in rows if row.track is not None})
    tracks = {f"track {n}": _mean([sampled[row.name] for row in rows if row.track == n]) for n in numbers}
    overall = _judged({"overall": _mean(list(tracks.values()))})[0] if tracks else None
    return Comparison(len(pairs), rows, _judged(by_type), _judged(tracks), overall, sorted(left_out, key=natural))


def _sampled(metric: str, group: Sequence[Pair], draws: int, random: np.random.Generator) -> _Sampled:
    """One task's difference, with ``draws`` bootstrap samples and ``draws`` random swaps."""
    count = len(group)
    ordered = sorted(group, key=lambda pair: pair[0].question)  # so that no file's order decides what is drawn
    a, b = (np.array([_sums(metric, pair[side]) for pair in ordered], dtype=float) for side in (0, 1))
    again, swapped = np.empty(draws), np.empty(draws)
    step = max(1, _AT_ONCE // count)
    for at in range(0, draws, step):
        size = min(step, draws - at)
        picks = random.integers(0, count, (size, count), dtype=np.int32)
        swaps = random.integers(0, 2, (size, count), dtype=np.int8).astype(float)
        again[at : at + size] = _differences(metric, a, b, count, picks)
        swapped[at : at + size] = _swapped(metric, a, b, count, swaps)
    score_a, score_b = (float(pooled(metric, side.sum(axis=0)[None], count)[0]) for side in (a, b))
    return _Sampled(score_a, score_b, count, again, swapped)


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


def _mean(parts: Sequence[_Sampled]) -> _Sampled:
    a, b, again, swapped = (
        sum(getattr(part, name) for part in parts) / len(parts) for name in ("a", "b", "again", "swapped")
    )
    return _Sampled(a, b, sum(part.questions for part in parts), again, swapped)


def _judged(parts: dict[str, _Sampled]) -> list[Difference]:
    """All at once: Holm's step-down p-values."""
    corrected: dict[str, float] = {}
    so_far = 0.0
    for rank, name in enumerate(sorted(parts, key=lambda name: parts[name].p)):
        so_far = max(so_far, min(1.0, (len(parts) - rank) * parts[name].p))
        corrected[name] = so_far
    return [_difference(name, part, corrected[name]) for name, part in parts.items()]


def _difference(name: str, part: _Sampled, p: float) -> Difference:
    low, high = map(float, np.percentile(part.again, (100 * LEVEL / 2, 100 * (1 - LEVEL / 2))))
    verdict = Verdict.NONE
    if p < LEVEL and (low > 0 or high < 0):
        verdict = Verdict.BETTER if low > 0 else Verdict.WORSE
    return Difference(name, part.questions, part.a, part.b, part.b - part.a, low, high, p, verdict)


def sentences(comparison: Comparison, a: str, b: str) -> list[str]:
    """What the numbers say, in words; ``a`` and ``b``: the models' names."""
    tasks = comparison.tasks
    lines = [_sentence(row, a, b) for row in comparison.means]
    lines += [f"{what}: {_verdicts(rows, b)}" for what, rows in (("task types", comparison.types), ("tasks", tasks))]
    if len(tasks) > 1:
        outside = sum(not row.low <= 0 <= row.high for row in tasks)
        chance = LEVEL * len(tasks)
        lines.append(
            f"{outside} of {len(tasks)} tasks' intervals exclude 0, {chance:.1f} would by chance: a task counts "
            f"where swapping the two answers at random differs as much in under {LEVEL:.0%} of cases, after Holm"
        )
    return lines


def _verdicts(rows: Sequence[Difference], b: str) -> str:
    """At which of them the model ``b`` is better, at which worse."""
    named = {
        verdict: ", ".join(f"{row.name} ({row.difference:+.3f})" for row in rows if row.verdict is verdict)
        for verdict in (Verdict.BETTER, Verdict.WORSE)
    }
    differ = "; ".join(f"{b} is {verdict.value} at {names}" for verdict, names in named.items() if names)
    rest = sum(row.verdict is Verdict.NONE for row in rows)
    return f"{differ}; no difference at {rest}" if differ else f"no difference at any of {rest}"


def few_questions(comparison: Comparison) -> list[str]:
    """A caveat, where there is reason for it."""
    few = sum(task.questions < _FEW for task in comparison.tasks)
    told = f"{few} of {len(comparison.tasks)} tasks have under {_FEW} questions: their intervals are too narrow"
    return [told] if few else []


def _sentence(row: Difference, a: str, b: str) -> str:
    numbers = f"{row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}], p {row.p:.2g}"
    if row.verdict is Verdict.NONE:
        return f"{row.name}: the data show no difference between {a} and {b}: {numbers}"
    return f"{row.name}: {b} answers {row.verdict.value} than {a}: {numbers}"
