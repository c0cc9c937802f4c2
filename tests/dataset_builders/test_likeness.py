"""Near-duplicates against the exact Jaccard index, and evaluation questions against a plain search."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builders.pools.decontaminate import GRAM, SHARE, Evaluation
from dataset_builders.pools.likeness import NEAR, SHINGLE, NearDuplicates, Words, answer_of, texts_of
from dataset_builders.task import Question
from spine.errors import RecipeError
from spine.task_types import TaskType
from tests.dataset_builders.raw_files import put

WORD = st.sampled_from([f"w{number}" for number in range(40)])
TEXTS = st.lists(st.lists(WORD, min_size=1, max_size=30).map(" ".join), min_size=1, max_size=4)


def shingles(texts: list[str]) -> set[tuple[str, ...]]:
    """The same by definition: up to three words from each place of each text."""
    return {tuple(words[at : at + SHINGLE]) for words in map(str.split, texts) for at in range(len(words))}


def jaccard(one: list[str], other: list[str]) -> float:
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=6))
def test_grams_are_those_of_the_definition(questions: list[list[str]]) -> None:
    words = Words.of(questions)
    grams, _ = words.grams(SHINGLE)
    for texts, found in zip(questions, words.split(grams, words.hashes != 0), strict=True):
        assert len(np.unique(found)) == len(shingles(texts))


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=2, max_size=12))
def test_what_is_removed_is_really_that_alike(questions: list[list[str]]) -> None:
    kept: list[list[str]] = []
    for texts, new in zip(questions, NearDuplicates().sieve(Words.of(questions), ["x"] * len(questions)), strict=True):
        if new:
            kept.append(texts)
        else:
            assert max(jaccard(texts, other) for other in kept) >= NEAR


def test_most_of_what_is_that_alike_is_removed() -> None:
    """98.5% at the threshold by theory; here with one word of thirty changed."""
    rng = np.random.default_rng(5)
    pairs = 300
    missed = 0
    for _ in range(pairs):
        words = [f"v{number}" for number in rng.integers(0, 10_000, 30)]
        changed = [*words[:29], "other"]
        assert jaccard([" ".join(words)], [" ".join(changed)]) >= NEAR
        found = NearDuplicates().sieve(Words.of([[" ".join(words)], [" ".join(changed)]]), ["x", "x"])
        missed += found[1]
    assert missed < 0.06 * pairs


def test_another_answer_makes_another_question() -> None:
    passage = "a long passage that tells of many things and of what came after them all"
    words = Words.of([[passage, "who was it"], [passage, "who was she"], [passage, "who was it"]])
    assert NearDuplicates().sieve(words, ["him", "her", "him"]) == [True, True, False]


@pytest.mark.parametrize(
    ("kind", "fields", "truth", "answer"),
    [
        (TaskType.MULTIPLE_CHOICE, {"options": ["a", "b"]}, 1, "b"),
        (TaskType.MULTIPLE_CHOICE, {}, 4, "4"),
        (TaskType.RETRIEVAL, {"items": ["x", "y", "z"]}, [3, 1], "x\nz"),
        (TaskType.RANKING, {"items": ["x", "y", "z"]}, [0.0, 1.0, 0.1], "y\nz\nx"),
        (TaskType.NER, {"title": "t"}, ["red", "oak"], "oak\nred"),
        (TaskType.GENERATION, {}, "a text", "a text"),
    ],
)
def test_the_answer_is_what_it_says_not_where_it_stands(
    kind: TaskType, fields: dict[str, object], truth: object, answer: str
) -> None:
    question = Question("e", fields, truth)  # type: ignore[arg-type]
    assert answer_of(kind, question) == answer


def test_japanese_is_compared_letter_by_letter() -> None:
    one, other = "このかばんは丈夫な革でできています", "このかばんは丈夫な革でできていました"
    assert NearDuplicates().sieve(Words.of([[one], [other], ["青い傘"]]), ["x"] * 3) == [True, True, True]
    long = "とても軽くて毎日の通勤に使いやすく雨の日でも中身が濡れないので長い旅行にも安心して持って行ける鞄です色は"
    assert NearDuplicates().sieve(Words.of([[long + "赤"], [long + "青"]]), ["x"] * 2) == [True, False]


def test_texts_are_those_of_all_fields() -> None:
    assert texts_of(Question("e", {"title": "a", "items": ["b", "c"], "count": 3, "none": None}, "x")) == [
        "a",
        "b",
        "c",
    ]


# Decontamination


def evaluation(folder: Path, *prompts: str) -> Evaluation:
    rows = "".join(json.dumps({"input_field": prompt}) + "\n" for prompt in prompts)
    return Evaluation.load([put(folder / "evaluation.jsonl", rows)])


@settings(deadline=None)
@given(st.lists(WORD, min_size=GRAM, max_size=60), st.lists(st.lists(WORD, min_size=1, max_size=60), min_size=1))
def test_the_share_is_that_of_a_plain_search(
    tmp_path_factory: pytest.TempPathFactory, known: list[str], asked: list[list[str]]
) -> None:
    found = evaluation(tmp_path_factory.getbasetemp(), " ".join(known)).find(Words.of([[" ".join(a)] for a in asked]))
    grams = {tuple(known[at : at + GRAM]) for at in range(len(known) - GRAM + 1)}
    for words, hit in zip(asked, found, strict=True):
        own = [tuple(words[at : at + GRAM]) for at in range(len(words) - GRAM + 1)]
        if own:
            share = sum(gram in grams for gram in own) / len(own)
            assert (hit is not None) == (share >= SHARE) and (hit is None or hit.share == pytest.approx(share))


def test_the_way_of_asking_does_not_count(tmp_path: Path) -> None:
    ask = "Please choose the one of the following answers that is right and say nothing else"
    kept = evaluation(tmp_path, *(f"{ask}: question {number}" for number in range(3)))
    assert kept.find(Words.of([[ask]])) == [None]
    few = evaluation(tmp_path, *(f"{ask}: question {number}" for number in range(2)))
    assert few.find(Words.of([[ask]])) != [None]


def test_short_questions_are_compared_as_a_whole(tmp_path: Path) -> None:
    known = evaluation(
        tmp_path, "Explain this.\nInput: Toggle Switch\nOutput:", "The product 'oak bread board' is sold."
    )
    asked = [["toggle switch"], ["toggle"], ["oak bread board"], ["switch board"]]
    assert [bool(hit) for hit in known.find(Words.of(asked))] == [True, False, True, False]


def test_an_evaluation_file_without_questions_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"evaluation.jsonl(.|\n)*no 'input_field' among its keys"):
        Evaluation.load([put(tmp_path / "evaluation.jsonl", '{"question": "?"}\n')])
