"""ECInstruct's rows as messy as they were published: what is asked of them, and what is left out."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dataset_builders.held_out import held_out
from dataset_builders.pools.fitness import problem
from dataset_builders.task import load_task
from dataset_builders.tasks._ecinstruct import review_entity
from tests.dataset_builders.ecinstruct_rows import MATCH, QUERY, RELATIONS, answer, of_rows


def test_missing_fields_and_other_answers_are_not_asked(tmp_path: Path) -> None:
    inputs: dict[str, dict[str, Any]] = {
        "product_substitute": QUERY,
        "answerability": {"question": "Is it light?", "document": ["It is."]},
        "product_matching": {"product 1": MATCH, "product 2": MATCH},
    }
    nothing: list[Any] = [None, "", [], float("nan")]
    for name, full in inputs.items():
        lacking = [({key: value for key, value in full.items() if key != gone}, "yes") for gone in full]
        empty = [({**full, key: value}, "yes") for key in full for value in nothing]
        assert len(of_rows(tmp_path, name, (full, "yes"))) == 1
        assert of_rows(tmp_path, name, (full, "maybe"), (full, ""), *lacking, *empty) == []


def test_the_output_is_an_option_or_its_letter(tmp_path: Path) -> None:
    pair = {"Product 1:": "Tray &amp; Lid", "Product 2:": "Board"}
    rows = [(pair, output) for output in ("C", "C: Both are alike.", "D", "", "Both", "C: Both are viewed.")]
    found = of_rows(tmp_path, "product_relation", *rows, options=RELATIONS)
    assert [answer(question) for question in found] == ["Both are alike."] * 2
    assert found[0].fields["first"] == "Tray & Lid"
    script = {"Product 1:": "var t = (new Date()).getTime();", "Product 2:": "Board"}
    assert (
        of_rows(
            tmp_path, "product_relation", (script, "A"), ({**pair, "Product 2:": "TRAY & lid"}, "A"), options=RELATIONS
        )
        == []
    )


def test_listings_leave_out_what_pandas_lost(tmp_path: Path) -> None:
    (question,) = of_rows(
        tmp_path, "product_matching", ({"product 1": MATCH, "product 2": {**MATCH, "price": 7}}, "yes")
    )
    assert question.fields["first"] == "title: Oak Board\nprice: 19.99"
    assert question.fields["second"] == "title: Oak Board\nprice: 7"


@pytest.mark.parametrize(
    ("listed", "output", "ranked"),
    [
        (["A: Tin Can", "B: Oak Board"], "B,A", ["Oak Board", "Tin Can"]),
        (["A: Tin Can", "B: Oak: Board", "C: Jar"], "C, A, B", ["Jar", "Tin Can", "Oak: Board"]),
        (["A: Tin Can", "B: Oak Board"], "B", None),  # not all
        (["A: Tin Can", "B: Oak Board"], "B,A,C", None),  # too many
        (["A: Tin Can", "B: Oak Board"], "B,B", None),
        (["A: Tin Can", "B: "], "B,A", None),  # one has no title
        (["A: Tin Can", "B: TIN CAN"], "B,A", None),  # nobody can tell them apart
        (["A: Tin Can"], "A", None),
        ([f"{letter}: Jar {letter}" for letter in "ABCDEF"], "A,B,C,D,E,F", None),  # more than are read
    ],
)
def test_letters_become_an_order(tmp_path: Path, listed: list[str], output: str, ranked: list[str] | None) -> None:
    given = {"query": "jar of oak", "product list": listed}
    found = of_rows(tmp_path, "query_product_ranking_ecinstruct", (given, output))
    assert len(found) == (ranked is not None)
    for question in found:
        assert isinstance(question.truth, list)
        order = sorted(zip(question.truth, question.fields["items"], strict=True), reverse=True)
        assert [title for _, title in order] == ranked


def test_the_latest_purchases_and_some_candidates_are_shown(tmp_path: Path) -> None:
    bought = [f'{n}th: {"Lid" if n % 2 else "Pan"} {n}: a "good" one\'s. Home. Aldwick.' for n in range(1, 31)]
    candidates = [f"{chr(65 + n)}: Jar {n // 2}. Home. Aldwick." for n in range(20)]  # each is there twice
    for options in (str(candidates), json.dumps(candidates)):  # as the notebook prints them, as mirrors may
        rows = [(str(bought), chr(65 + n)) for n in range(20)]
        found = of_rows(tmp_path, "sequential_recommendation", *rows, options=options)
        for number, question in enumerate(found):
            assert answer(question) == f"Jar {number // 2}. Home. Aldwick."
            numbers = [int(line.split()[1][:-1]) for line in question.fields["history"]]
            assert numbers == sorted(numbers) and numbers[0] > 24 and numbers[-1] <= 30
            assert len(numbers) == 4 and problem(load_task("sequential_recommendation").type, question) is None
        assert len(found) == 20


def test_long_documents(tmp_path: Path) -> None:
    """Cut for an answer; left out where the answer is whether it stands there."""
    snippets = [f"{number} " + "word " * 100 for number in range(10)]
    given = {"question": "Is it light?", "document": snippets}
    (question,) = of_rows(tmp_path, "answer_generation", (given, "It is."))
    assert question.fields["snippets"] == [text.strip() for text in snippets[:3]]
    assert of_rows(tmp_path, "answerability", (given, "yes"), (given, "no")) == []
    (question,) = of_rows(tmp_path, "answerability", ({**given, "document": snippets[:7]}, "yes"))
    assert question.fields["snippets"] == [text.strip() for text in snippets[:7]]


def test_an_answer_that_is_none_is_not_learnt(tmp_path: Path) -> None:
    given = {"question": "Is it light?", "document": ["It weighs a pound."]}
    none = ("I don't know.", "I do not know, sorry", "Not sure", "Don’t have one anymore.", "", "long " * 200)
    assert of_rows(tmp_path, "answer_generation", *((given, text) for text in none)) == []
    (question,) = of_rows(tmp_path, "answer_generation", (given, "Yes,<br />a   pound."))
    assert question.truth == "Yes, a pound."


SENTIMENTS = ["very positive", "positive", "neutral", "negative", "very negative"]
OPTIONS = [f"{letter}: {text}" for letter, text in zip("ABCDE", SENTIMENTS, strict=True)]


def test_a_ranking_needs_a_whole_review_of_each_sentiment(tmp_path: Path) -> None:
    rows = [(f"Review {number}, {option[3:]}.", option) for number in range(3) for option in OPTIONS]
    found = of_rows(tmp_path, "review_sentiment_ranking", *rows, *rows, options=OPTIONS)
    trained = [text for text, _ in rows if not held_out(review_entity(text))]
    assert len(found) == len(trained) > 10, "asked once about each, however often it stands there"
    for question in found:
        assert isinstance(question.truth, list)
        told = [item.partition(", ")[2].rstrip(".") for item in question.fields["items"]]
        assert [told for _, told in sorted(zip(question.truth, told, strict=True), reverse=True)] == SENTIMENTS
    cut = [(f"{text} {'and so on ' * 60}" if "neutral" in text else text, option) for text, option in rows]
    assert of_rows(tmp_path, "review_sentiment_ranking", *cut, options=OPTIONS) == []
    assert of_rows(tmp_path, "review_sentiment_ranking", *rows[:4], options=OPTIONS) == []


def test_a_list_beside_another_query_is_left_out(tmp_path: Path) -> None:
    def of(thing: str, query: str) -> tuple[Any, str]:
        return {"query": query, "product list": [f"A: Case for {thing}", f"B: Large {thing}", "C: Rope"]}, "B,A,C"

    others = [of(f"thing{letter}", f"large thing{letter}") for letter in "abcdefghijklm"]
    found = of_rows(tmp_path, "query_product_retrieval", *others, of("kettle", "oak board"), of("lamp", "lamp"))
    (last,) = [question for question in found if question.entity == "query:lamp"]
    items = last.fields["items"]
    assert isinstance(last.truth, list)
    assert {items[int(at) - 1] for at in last.truth} == {"Large lamp", "Case for lamp"} and "Rope" in items
    assert "query:oak board" not in {question.entity for question in found}


def test_what_serves_a_query_has_a_word_of_it(tmp_path: Path) -> None:
    """Labels of the published rows are at times those of another row: a syrup for who looks for a gym."""
    texts = {
        "A": "The product is relevant to the query, and satisfies all the query specifications.",
        "B": "The product is somewhat relevant. It fails to fulfill some aspects of the query.",
        "C": "The product does not fulfill the query, but could be used in combination with a product that does.",
        "D": "The product is irrelevant to the query.",
    }
    syrup = {"query": "home gym equipment", "product title": "Brown Butter Syrup, 750 ml"}
    bands = {"query": "home gym equipment", "product title": "Rubber Bands for the Gym at Home"}
    shoes = {"query": "home gym equipment", "product title": "Gym Shoes, Blue"}  # a slip, too: one word of three
    exact = {"query": "home gym equipment", "product title": "Equipment for a Gym at Home"}  # and nothing is lacking
    rows = [(given, f"{letter}: {text}") for given in (syrup, bands, shoes) for letter, text in texts.items()]
    rows += [(exact, f"D: {texts['D']}")]
    options = [f"{letter}: {text}" for letter, text in texts.items()]
    found = of_rows(tmp_path, "query_product_relevance", *rows, options=options)
    told = [(answer(question), question.fields["title"]) for question in found]
    expected = [(syrup, "D"), (bands, "A"), (bands, "B"), (bands, "C"), (shoes, "D")]
    assert told == [(texts[letter], given["product title"]) for given, letter in expected]
    half = {"query": "home gym equipment", "product": "Gym Shoes, Blue"}
    assert [answer(question) for question in of_rows(tmp_path, "product_substitute", (half, "yes"), (half, "no"))] == [
        "no"
    ]


@pytest.mark.parametrize(
    ("query", "best", "other", "told"),
    [
        ("home gym equipment", "Oak Board", "Brown Butter Syrup", False),
        ("door hinge for old shed", "Shed Light with Solar Panel", "Brown Butter Syrup", False),  # one word of four
        ("wall clock", "Wall Clock, Silent, 12 Inch", "Alarm Clock for the Wall", False),  # neither says it more
        ("wall clock", "Kitchen Clock", "Wall Clock, Silent, 12 Inch", False),  # the other one does
        ("frame without glass", "Oak Frame with Glass", "Brown Butter Syrup", False),  # words tell what is not wanted
        ("wall clock silent", "Wall Clock, Silent, 12 Inch", "Kitchen Clock", True),
        ("wall clock silent", "Wall Clock, 12 Inch", "Brown Butter Syrup", True),
    ],
)
def test_the_best_of_a_ranking_is_told_by_its_title(
    tmp_path: Path, query: str, best: str, other: str, told: bool
) -> None:
    ranking = {"query": query, "product list": [f"A: {other}", f"B: {best}"]}
    assert len(of_rows(tmp_path, "query_product_ranking_ecinstruct", (ranking, "B,A"))) == told


@pytest.mark.parametrize(
    ("sentiment", "review", "fits"),
    [
        ("positive", "Lovely colour, but so disappointed with the fit. Going back.", False),
        ("very positive", "You won't be disappointed, it is perfect.", True),
        ("neutral", "Nice cloth, too large for me, so I returned it.", False),
        ("neutral", "It is okay. A little smaller than others.", True),
        ("negative", "A perfect sweater, and it sheds.", False),
        ("negative", "The handle came loose within a month.", True),
        ("very negative", "I loved the look of it. A waste of money, it broke.", True),
    ],
)
def test_reviews_are_ranked_whose_words_fit_their_sentiment(
    tmp_path: Path, sentiment: str, review: str, fits: bool
) -> None:
    names = ("very positive", "positive", "neutral", "negative", "very negative")
    options = [f"{letter}: {name}" for letter, name in zip("ABCDE", names, strict=True)]
    letters = dict(zip(names, "ABCDE", strict=True))
    sides = Counter[bool]()
    plain = []
    for number in range(400):  # enough of each on both sides of the split
        text, name = f"It came in a box with number {number} on it.", names[number % 5]
        if name != sentiment:
            plain.append((text, f"{letters[name]}: {name}"))
            sides[held_out(review_entity(text))] += 1
    assert len(sides) == 2
    found = of_rows(
        tmp_path, "review_sentiment_ranking", *plain, (review, f"{letters[sentiment]}: {sentiment}"), options=options
    )
    assert (review in {item for question in found for item in question.fields["items"]}) == fits
