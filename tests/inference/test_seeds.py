"""Differences between blends that were trained several times: what the intervals hold, by simulation.

A question has its own chance of a right answer, a training its own luck; what B adds to A is known.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from inference.scoring.compare import Comparison, Verdict, compare, compare_several
from inference.scoring.draws import Pair, detectable
from inference.scoring.predictions import Prediction
from spine.errors import RecipeError
from spine.task_types import TaskType

REPEATS, DRAWS, QUESTIONS = 150, 300, 60
TASKS = (("a", 1), ("b", 2))


def trainings(random: np.random.Generator, seeds: int, luck: float, effect: float) -> list[list[Pair]]:
    """``luck``: standard deviation of what a training adds to all chances."""
    chances = {task: random.uniform(0.2, 0.6, QUESTIONS) for task, _ in TASKS}
    made = []
    for _ in range(seeds):
        of_a, of_b = random.normal(0, luck), random.normal(effect, luck)
        pairs = []
        for task, track in TASKS:
            rights = [random.random(QUESTIONS) < chances[task] + more for more in (of_a, of_b)]
            for at, both in enumerate(zip(*rights, strict=True)):
                name = f"{task}{at:03}"
                a, b = (Prediction(name, task, track, TaskType.RETRIEVAL, "accuracy", float(one)) for one in both)
                pairs.append((a, b))
        made.append(pairs)
    return made


@cache
def repeats(seeds: int, luck: float, effect: float) -> list[Comparison]:
    random = np.random.default_rng(1)
    return [compare_several({"b": trainings(random, seeds, luck, effect)}, draws=DRAWS)["b"] for _ in range(REPEATS)]


def share(truths: list[bool]) -> float:
    return sum(truths) / len(truths)


@pytest.mark.parametrize(("seeds", "luck"), [(2, 0.03), (3, 0.0), (3, 0.08), (5, 0.06)])
def test_intervals_hold_the_truth_as_often_as_they_say(seeds: int, luck: float) -> None:
    rows = [row for one in repeats(seeds, luck, 0.1) for row in (one.overall, *one.tasks) if row]
    assert 0.92 <= share([row.low <= 0.1 <= row.high for row in rows]) <= 0.985


def test_an_interval_over_questions_alone_is_too_narrow_where_trainings_differ() -> None:
    random = np.random.default_rng(1)
    found = [compare(trainings(random, 1, 0.08, 0.1)[0], draws=DRAWS).overall for _ in range(REPEATS)]
    assert share([row.low <= 0.1 <= row.high for row in found if row]) < 0.75


@pytest.mark.parametrize("luck", [0.0, 0.05])
def test_two_copies_of_one_blend_show_nothing_in_19_of_20(luck: float) -> None:
    """Of all verdicts of a table, tasks, types, tracks and overall, each by itself; .95 of 150 is .95 +- .036."""
    found = repeats(3, luck, 0.0)
    for level in ("tasks", "types", "tracks"):
        assert share([all(row.verdict is Verdict.NONE for row in getattr(one, level)) for one in found]) >= 0.914
    assert share([one.overall is not None and one.overall.verdict is Verdict.NONE for one in found]) >= 0.914


def test_the_very_same_answers_differ_by_nothing() -> None:
    one = trainings(np.random.default_rng(2), 3, 0.05, 0.0)
    same = compare_several({"b": [[(a, a) for a, _ in pairs] for pairs in one]}, draws=DRAWS)["b"].overall
    assert same and (same.difference, same.low, same.high, same.p, same.seed_error) == (0, 0, 0, 1, 0)


def test_an_effect_that_was_planted_is_found() -> None:
    found = repeats(5, 0.02, 0.25)
    assert share([one.overall is not None and one.overall.verdict is Verdict.BETTER for one in found]) > 0.95


def test_the_detectable_effect_is_found_in_four_of_five() -> None:
    rows = [one.overall for one in repeats(5, 0.02, 0.0) if one.overall]
    errors = [np.sqrt(np.mean([kind(row) ** 2 for row in rows])) for kind in
              (lambda row: row.question_error, lambda row: row.seed_error or 0.0)]  # fmt: skip
    least = detectable(float(errors[0]), float(errors[1]), 5)
    found = [one.overall for one in repeats(5, 0.02, round(least, 3)) if one.overall]
    assert 0.65 <= share([row.verdict is Verdict.BETTER for row in found]) <= 0.95


def test_one_training_is_compared_as_before() -> None:
    pairs = trainings(np.random.default_rng(3), 1, 0.05, 0.1)
    assert compare_several({"": pairs}, draws=DRAWS)[""] == compare(pairs[0], draws=DRAWS)
    row = compare(pairs[0], draws=DRAWS).overall
    assert row and row.seed_error is None


def test_several_models_are_judged_together() -> None:
    one = trainings(np.random.default_rng(4), 3, 0.0, 0.12)
    alone, together = (compare_several(dict.fromkeys(names, one), draws=2_000) for names in ("b", "bcdefgh"))
    for row, among in zip(alone["b"].tracks, together["b"].tracks, strict=True):
        assert (row.difference, row.low, row.high) == (among.difference, among.low, among.high)
        assert row.p < among.p <= 7 * row.p + 1e-9


def test_trainings_that_were_asked_other_questions_are_refused() -> None:
    one, other = trainings(np.random.default_rng(5), 2, 0.0, 0.0)
    with pytest.raises(RecipeError, match="not asked the same questions"):
        compare_several({"b": [one, other[:-1]]}, draws=DRAWS)


def test_more_seeds_help_only_where_trainings_differ() -> None:
    assert detectable(0.02, None, 1) == pytest.approx((1.96 + 0.84) * 0.02, rel=0.02)
    assert detectable(0.02, 0.02, 2) > 3 * detectable(0.02, 0.02, 5)  # Student's t of one degree of freedom
    assert detectable(0.02, 0.0, 3) == pytest.approx(detectable(0.02, None, 1))
