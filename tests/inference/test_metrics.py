"""ShopBench's metrics beside formulas written anew, the long way, from their description."""

from __future__ import annotations

from fractions import Fraction
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.scoring import metrics
from inference.scoring.parsers import parse
from spine.errors import RecipeError
from spine.task_types import TaskType

near = lambda value: pytest.approx(value, abs=1e-9, rel=0)  # noqa: E731
positions = st.lists(st.integers(0, 12), max_size=6)
weights = st.lists(st.sampled_from([1.0, 0.1, 0.01, 0.0]) | st.floats(0, 5), min_size=1, max_size=6)
phrases = st.lists(st.sampled_from(["Oak", "oak ", " oak", "bread board", "", "Éclair", "a\tb"]) | st.text(max_size=4))


@given(st.text("-0123456789 a²", max_size=3), st.integers(-1, 9))
def test_accuracy(text: str, truth: int) -> None:
    stripped = text.strip()
    first = stripped[0] if stripped else ""
    expected = 1.0 if (first if first in "0123456789" and first else "-1") == str(truth) else 0.0
    assert metrics.scorer("accuracy")(parse(TaskType.MULTIPLE_CHOICE, text), truth) == expected


@given(positions, st.lists(st.integers(0, 12), min_size=1, max_size=5))
def test_hit_rate(prediction: list[int], truth: list[int]) -> None:
    hits = [number for number in range(13) if number in truth and number in prediction[0:3]]
    assert metrics.scorer("hit rate@3")(prediction, truth) == near(float(Fraction(len(hits), len(truth))))


@given(positions, weights)
def test_ndcg(prediction: list[int], truth: list[float]) -> None:
    gained = ideal = 0.0
    for rank in range(1, min(len(prediction), len(truth)) + 1):
        position = prediction[rank - 1]
        weight = 0.0 if position > len(truth) else truth[-1] if position == 0 else truth[position - 1]
        gained += (2.0**weight - 1) / log2(rank + 1)
    for rank, weight in enumerate(sorted(truth)[::-1], 1):
        ideal += (2.0**weight - 1) / log2(rank + 1)
    before = list(truth)
    assert metrics.scorer("ndcg")(prediction, truth) == near(gained / ideal if ideal > 0 else 0.0)
    assert truth == before


@given(phrases, phrases)
def test_micro_f1(prediction: list[str], truth: list[str]) -> None:
    said, meant = [p.lower().strip() for p in prediction], [t.lower() for t in truth]
    right = len({phrase for phrase in said if phrase in meant})
    # F1 is twice the right ones over all that was said and all that was meant
    expected = 2 * right / (len(said) + len(meant)) if right else 0.0
    assert metrics.scorer("micro f1")(prediction, truth) == near(expected)
    assert metrics.entity_counts(prediction, truth) == (right, len(said) - right, len(meant) - right)


def test_the_best_and_the_worst_answers() -> None:
    ndcg = metrics.scorer("ndcg")
    assert ndcg([2, 1, 3], [0.1, 1.0, 0.0]) == 1.0 and ndcg([], [1.0]) == 0.0 and ndcg([1], [0.0]) == 0.0
    assert ndcg([1, 1, 1], [1.0, 0.0, 0.0]) > 1.0  # repetitions are refused by the parser, not here
    assert ndcg([0, 1], [0.0, 1.0]) == 1.0  # position 0 reads the last weight
    assert metrics.scorer("micro f1")(["oak", "oak"], ["Oak"]) == near(2 / 3)
    assert metrics.entity_counts(["Cricket\n", "\tball\u3000"], ["cricket", "ball"]) == (2, 0, 0)


@pytest.mark.parametrize(("text", "score"), [("Yes.", 1.0), (" yes, it is", 1.0), ("yesterday", 0.0), ("", 0.0)])
def test_yes_or_no(text: str, score: float) -> None:
    assert metrics.scorer("bool")(text, "yes") == score


def test_a_metric_that_does_not_exist_is_named() -> None:
    with pytest.raises(RecipeError, match="no metric 'f1'"):
        metrics.scorer("f1")
