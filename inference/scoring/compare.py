"""Two evaluations of the same questions: how much they differ, and whether that is more than luck.

The interval is a paired bootstrap's (Koehn 2004, "Statistical significance tests for machine translation evaluation"):
questions are drawn again within each task, the same ones for both models. A verdict also asks a randomisation test
(Noreen 1989): how often is the difference as large when each question's two answers are swapped at random? With four
questions, all answered better, the bootstrap's interval has no width; the swaps still say 2 in 16.

Of twenty tasks that do not differ, one interval excludes 0 by chance. Tasks are therefore judged together, and so are
tracks, with Holm's correction (Holm 1979): among all verdicts of a table, a false one has a chance of 5% at most.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from inference.scoring.draws import DRAWS, LEVEL, Pair, Sampled, luck_of, mean, sampled
from inference.scoring.predictions import Prediction
from inference.scoring.scores import natural
from spine.errors import RecipeError
from spine.task_types import TaskType

_FEW = 20


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
        question_error, seed_error: standard errors that come of the questions and of the trainings; None: of one.
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
    question_error: float = 0.0
    seed_error: float | None = None


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
    return compare_several({"": [pairs]}, draws=draws, seed=seed)[""]


def compare_several(
    several: Mapping[str, Sequence[Sequence[Pair]]], *, draws: int = DRAWS, seed: int = 0
) -> dict[str, Comparison]:
    """Several models, each beside A, judged together: Holm's correction is over all of them.

    Args:
        several: by name, for each pair of trainings (A's and this one's) the answers side by side.

    Raises:
        RecipeError: the trainings were not asked the same questions.
    """
    found = {name: _sampled_groups(trainings, draws, seed) for name, trainings in several.items()}
    tasks, types, tracks, overall = (
        _judged({(name, key): part for name, groups in found.items() for key, part in groups.parts[level].items()})
        for level in ("tasks", "types", "tracks", "overall")
    )
    made = {}
    for name, groups in found.items():
        heads = groups.heads
        rows = [replace(row, metric=heads[row.name].metric, track=heads[row.name].track) for row in tasks[name]]
        of_all = overall[name][0] if overall[name] else None
        made[name] = Comparison(groups.questions, rows, types[name], tracks[name], of_all, groups.left_out)
    return made


@dataclass(frozen=True)
class _Groups:
    """One comparison before it is judged. ``heads``: the first answer of each task; ``parts``: by level and name."""

    questions: int
    heads: dict[str, Prediction]
    parts: dict[str, dict[str, Sampled]]
    left_out: list[str]


def _sampled_groups(trainings: Sequence[Sequence[Pair]], draws: int, seed: int) -> _Groups:
    random, luck = np.random.default_rng(seed), luck_of(len(trainings), draws, seed)
    if any(_asked(pairs) != _asked(trainings[0]) for pairs in trainings):
        raise RecipeError("the trainings were not asked the same questions", way_out="evaluate all of them on one file")
    tasks: dict[str, list[list[Pair]]] = {}
    for at, pairs in enumerate(trainings):
        for pair in pairs:
            tasks.setdefault(pair[0].task, [[] for _ in trainings])[at].append(pair)
    heads = {name: each[0][0][0] for name, each in tasks.items()}  # a task goes by its first question, as in the kit
    left_out = [name for name, each in tasks.items() if any(one.score is None for ps in each for p in ps for one in p)]
    names = sorted(tasks.keys() - left_out, key=lambda name: (heads[name].track or 99, natural(name)))
    parts = {name: sampled(heads[name].metric, tasks[name], luck, random) for name in names}
    kinds = {kind: [part for name, part in parts.items() if heads[name].type is kind] for kind in TaskType}
    numbers = sorted({track for name in names if (track := heads[name].track) is not None})
    tracks = {f"track {n}": mean([part for name, part in parts.items() if heads[name].track == n]) for n in numbers}
    levels = {
        "tasks": parts,
        "types": {kind.value: mean(some) for kind, some in kinds.items() if some},
        "tracks": tracks,
        "overall": {"overall": mean(list(tracks.values()))} if tracks else {},
    }
    return _Groups(len(trainings[0]), heads, levels, sorted(left_out, key=natural))


def _asked(pairs: Sequence[Pair]) -> list[str]:
    return sorted(pair[0].question for pair in pairs)


def _judged(parts: Mapping[tuple[str, str], Sampled]) -> defaultdict[str, list[Difference]]:
    """All at once, by Holm's step-down p-values; the differences of each model by its name."""
    corrected: dict[tuple[str, str], float] = {}
    chances = {key: part.p for key, part in parts.items()}
    so_far = 0.0
    for rank, key in enumerate(sorted(chances, key=chances.__getitem__)):
        so_far = max(so_far, min(1.0, (len(parts) - rank) * chances[key]))
        corrected[key] = so_far
    found = defaultdict[str, list[Difference]](list)
    for (model, name), part in parts.items():
        found[model].append(_difference(name, part, corrected[model, name]))
    return found


def _difference(name: str, part: Sampled, p: float) -> Difference:
    low, high = part.interval
    verdict = Verdict.NONE
    if p < LEVEL and (low > 0 or high < 0):
        verdict = Verdict.BETTER if low > 0 else Verdict.WORSE
    return Difference(
        name, part.questions, part.a, part.b, part.b - part.a, low, high, p, verdict,
        question_error=part.question_error, seed_error=part.seed_error,
    )  # fmt: skip


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
