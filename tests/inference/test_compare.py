"""Comparing two evaluations: the arithmetic against loops and by its properties, and what it refuses to claim."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.scoring import draws as draws_module
from inference.scoring.compare import Comparison, Verdict, compare, matched, sentences
from inference.scoring.draws import Pair
from inference.scoring.metrics import f1
from inference.scoring.predictions import Prediction, read_predictions
from spine.errors import RecipeError
from spine.task_types import TaskType

FEW = 200  # draws: enough for what does not hang on their number


def answer(name: str, score: float | None, task: str = "a", track: int | None = 1) -> Prediction:
    return Prediction(name, task, track, TaskType.RETRIEVAL, "accuracy", score, None)


def phrases(name: str, counts: tuple[int, int, int], task: str = "n", track: int | None = 1) -> Prediction:
    return Prediction(name, task, track, TaskType.NER, "micro f1", f1(*counts), counts)


def pairs_of(scores: list[tuple[float, float]], task: str = "a", track: int | None = 1) -> list[Pair]:
    return [
        (answer(f"{task}{at:04}", a, task, track), answer(f"{task}{at:04}", b, task, track))
        for at, (a, b) in enumerate(scores)
    ]


def ner_pairs(counts: list[tuple[tuple[int, int, int], tuple[int, int, int]]]) -> list[Pair]:
    return [(phrases(f"n{at:04}", a), phrases(f"n{at:04}", b)) for at, (a, b) in enumerate(counts)]


SCORE = st.sampled_from([0.0, 0.1, 1 / 3, 0.5, 0.7, 1.0])
COUNTS = st.tuples(*[st.integers(0, 3)] * 3)
EXAM = st.tuples(
    st.lists(st.tuples(SCORE, SCORE), min_size=1, max_size=12), st.lists(st.tuples(COUNTS, COUNTS), max_size=8)
).map(lambda both: pairs_of(both[0]) + ner_pairs(both[1]) + pairs_of(both[0][::-1], "c", 2))


@given(EXAM)
@settings(max_examples=30, deadline=None)
def test_swapping_the_models_negates_every_number(exam: list[Pair]) -> None:
    there, back = compare(exam, draws=FEW), compare([(b, a) for a, b in exam], draws=FEW)
    assert there.overall and back.overall
    for one, other in zip(
        [*there.tasks, *there.tracks, there.overall], [*back.tasks, *back.tracks, back.overall], strict=True
    ):
        assert (one.a, one.b, one.p) == (other.b, other.a, other.p)
        assert one.difference == -other.difference
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-12)


@given(EXAM)
@settings(max_examples=10, deadline=None)
def test_a_type_is_the_mean_of_its_tasks_whatever_their_tracks(exam: list[Pair]) -> None:
    found = compare(exam, draws=FEW)
    tasks = {row.name: row for row in found.tasks}
    types = {row.name: row for row in found.types}
    assert set(types) == {"retrieval"} | ({"named_entity_recognition"} if "n" in tasks else set())
    assert types["retrieval"].difference == pytest.approx((tasks["a"].difference + tasks["c"].difference) / 2)
    assert types["retrieval"].questions == tasks["a"].questions + tasks["c"].questions


@given(EXAM)
@settings(max_examples=30, deadline=None)
def test_equal_answers_differ_by_exactly_nothing(exam: list[Pair]) -> None:
    found = compare([(a, a) for a, _ in exam], draws=FEW)
    assert found.overall
    for row in [*found.tasks, *found.tracks, found.overall]:
        assert (row.difference, row.low, row.high, row.p, row.verdict) == (0.0, 0.0, 0.0, 1.0, Verdict.NONE)


@given(st.lists(st.tuples(COUNTS, COUNTS), min_size=1, max_size=10), st.booleans())
@settings(max_examples=20, deadline=None)
def test_a_task_is_what_a_loop_over_its_questions_makes_of_it(
    counts: list[tuple[tuple[int, ...], ...]], ner: bool
) -> None:
    exam = ner_pairs(counts) if ner else pairs_of([(f1(*a), f1(*b)) for a, b in counts])  # type: ignore[misc, arg-type]

    def score(side: int, picks: list[int], swaps: list[int]) -> float:
        chosen = [exam[pick][side ^ swap] for pick, swap in zip(picks, swaps, strict=True)]
        if ner:
            return f1(*(sum(one.counts[part] for one in chosen) for part in range(3)))  # type: ignore[index]
        return sum(one.score or 0.0 for one in chosen) / len(chosen)

    def difference(picks: list[int], swaps: list[int]) -> float:
        return score(1, picks, swaps) - score(0, picks, swaps)

    count, every, never = len(exam), list(range(len(exam))), [0] * len(exam)
    draw = np.random.default_rng(7)
    picks = draw.integers(0, count, (FEW, count), dtype=np.int32).tolist()
    swaps = draw.integers(0, 2, (FEW, count), dtype=np.int8).tolist()
    observed = difference(every, never)
    again = [difference(row, never) for row in picks]
    as_large = sum(abs(difference(every, row)) >= abs(observed) - 1e-12 for row in swaps)
    (task,) = compare(exam, draws=FEW, seed=7).tasks
    assert task.difference == pytest.approx(observed, abs=1e-12)
    assert (task.low, task.high) == pytest.approx(tuple(np.percentile(again, (2.5, 97.5))), abs=1e-12)
    assert task.p == pytest.approx((1 + as_large) / (1 + FEW))


def test_tracks_are_means_of_tasks_and_the_whole_is_the_mean_of_tracks() -> None:
    exam = pairs_of([(0, 1), (1, 1)], "a", 1) + pairs_of([(0, 0)] * 8, "b", 1) + pairs_of([(1, 0)] * 4, "c", 2)
    exam += pairs_of([(0, 1)] * 6, "d", None)
    found = compare(exam, draws=FEW)
    assert {row.name: row.difference for row in found.tasks} == {"a": 0.5, "b": 0.0, "c": -1.0, "d": 1.0}
    assert {row.name: (row.difference, row.questions) for row in found.tracks} == {
        "track 1": (0.25, 10),
        "track 2": (-1.0, 4),
    }
    assert found.overall and (found.overall.difference, found.overall.questions) == (-0.375, 14)


def test_large_tasks_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    exam = pairs_of([(at % 2, at % 3 == 0) for at in range(50)])
    whole = compare(exam, draws=2_000).tasks[0]
    monkeypatch.setattr(draws_module, "_AT_ONCE", 500)
    in_parts = compare(exam, draws=2_000).tasks[0]
    assert (in_parts.low, in_parts.high) == pytest.approx((whole.low, whole.high), abs=0.05)
    assert in_parts.p == pytest.approx(whole.p, abs=0.05)


def test_four_better_answers_prove_nothing() -> None:
    (task,) = compare(pairs_of([(0, 1)] * 4)).tasks
    assert (task.low, task.high) == (1.0, 1.0)  # a bootstrap of equal differences has no width
    assert task.p == pytest.approx(2 / 16, abs=0.02) and task.verdict is Verdict.NONE


def test_one_small_p_among_many_tasks_is_no_verdict() -> None:
    lucky = pairs_of([(0, 1)] * 6 + [(1, 1)] * 30)  # p = 2 / 64
    alone = compare(lucky).tasks[0]
    others = [pair for at in range(9) for pair in pairs_of([(0, 1), (1, 0)] * 15, f"other{at}")]
    among = next(task for task in compare(lucky + others).tasks if task.name == "a")
    assert alone.p == pytest.approx(2 / 64, abs=0.01) and alone.verdict is Verdict.BETTER
    assert among.p == pytest.approx(10 * 2 / 64, abs=0.1) and among.verdict is Verdict.NONE
    assert among.low > 0  # its interval still excludes 0, and the words say what that is worth
    told = sentences(compare(lucky + others), "v8", "v9b")
    assert (
        "1 of 10 tasks' intervals exclude 0, 0.5 would by chance" in told[-1]
        and "no difference at any of 10" in told[-2]
    )


def test_intervals_cover_and_verdicts_are_rarely_wrong() -> None:
    draw = random.Random(3)
    truth, rounds, covered, wrong = 0.1, 150, 0, 0
    for seed in range(rounds):
        better = [(float(draw.random() < 0.5), float(draw.random() < 0.5 + truth)) for _ in range(120)]
        same = [(float(draw.random() < 0.5), float(draw.random() < 0.5)) for _ in range(120)]
        covered += (row := compare(pairs_of(better), draws=300, seed=seed).tasks[0]).low <= truth <= row.high
        wrong += compare(pairs_of(same), draws=300, seed=seed).tasks[0].verdict is not Verdict.NONE
    assert 0.89 <= covered / rounds <= 0.99  # of 150 rounds, 95% +- 3.4 standard errors
    assert wrong / rounds <= 0.11


def test_a_task_without_a_score_on_one_side_is_left_out_by_name() -> None:
    exam = [*pairs_of([(0, 1)] * 3), (answer("x", 1.0, "b"), answer("x", None, "b"))]
    found = compare(exam, draws=FEW)
    assert found.left_out == ["b"] and [row.name for row in found.tasks] == ["a"]


def test_questions_are_matched_by_what_they_ask() -> None:
    a = [answer("p", 0.0), answer("q", 0.5), answer("p", 1.0)]  # p stands there twice
    b = [answer("q", 1.0), answer("p", 0.25), answer("p", 0.75)]
    pairs = matched(a, b)
    assert [(one.score, other.score) for one, other in pairs] == [(0.0, 0.25), (0.5, 1.0), (1.0, 0.75)]


def test_other_questions_are_refused_with_their_numbers() -> None:
    a, b = [answer(name, 1.0) for name in "pqr"], [answer(name, 0.0) for name in "qrst"]
    with pytest.raises(
        RecipeError, match=r"A answered 3 questions, B 4, 2 of them the same\n  -> --common compares on those 2"
    ):
        matched(a, b)
    assert [one.question for one, _ in matched(a, b, common=True)] == ["q", "r"]
    twice = [answer("p", 1.0), answer("p", 1.0)]
    with pytest.raises(RecipeError, match="A answered 2 questions, B 1, 1 of them the same"):
        matched(twice, [answer("p", 1.0)])
    for common in (False, True):
        with pytest.raises(RecipeError, match="0 of them the same\n  -> evaluate both on one file"):
            matched(a, [answer("z", 1.0)], common=common)


def test_the_words_say_what_the_numbers_say() -> None:
    exam = pairs_of([(0, 1)] * 30 + [(1, 1)] * 30) + pairs_of([(1, 0)] * 30 + [(1, 1)] * 30, "b", 2)
    found = compare(exam + pairs_of([(0, 1), (1, 0)] * 20, "c", 2))
    told = sentences(found, "v8", "v9b")
    assert told[1].startswith("track 1: v9b answers better than v8: +0.500 [+0.3")
    assert told[2].startswith("track 2: v9b answers worse than v8: -0.250 [")
    assert told[3] == "task types: no difference at any of 1"
    assert told[4] == "tasks: v9b is better at a (+0.500); v9b is worse at b (-0.500); no difference at 1"
    nothing = sentences(compare(pairs_of([(0, 1), (1, 0)] * 20)), "v8", "v9b")
    assert nothing[0].startswith("overall: the data show no difference between v8 and v9b: +0.000 [-")
    assert isinstance(found, Comparison) and found.as_json()["tracks"][1]["verdict"] == "worse"


def test_the_order_of_a_file_changes_nothing() -> None:
    exam = pairs_of([(0.3, 0.5), (0.1, 0.2), (1.0, 0.0), (0.4, 0.4)]) + pairs_of([(1, 0), (0, 1), (1, 1)], "b", 2)
    assert compare(exam, draws=FEW).overall == compare(exam[::-1], draws=FEW).overall


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_no_score(score: float, tmp_path: Path) -> None:
    """Beside itself such an evaluation would seem worse."""
    with pytest.raises(ValueError, match="is no number"):
        answer("q", score)
    row = {"question": "q", "task": "a", "track": 1, "type": "retrieval", "metric": "accuracy", "score": 1.0}
    path = tmp_path / "predictions.jsonl"
    path.write_text(f"{json.dumps(row)}\n{json.dumps(row | {'score': score})}\n")
    with pytest.raises(RecipeError, match=r"predictions\.jsonl:2: is no line of an evaluation"):
        read_predictions(path)
