"""The tasks on ECInstruct: answers recomputed from the shop's own rules, and rows as messy as the published ones."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dataset_builders.held_out import held_out
from dataset_builders.pools.fitness import problem
from dataset_builders.raw import RawData
from dataset_builders.sample_shop.catalogue import ProductType, catalogue
from dataset_builders.sample_shop.ecinstruct import wordings
from dataset_builders.task import Question, Seeded, load_task
from dataset_builders.tasks._ecinstruct import review_entity, title_entity
from tests.dataset_builders.raw_files import write_json

PUBLISHED = {
    "answer_generation": "Answer_Generation",
    "answerability": "Answerability_Prediction",
    "attribute_value_extraction": "Attribute_Value_Extraction",
    "product_matching": "Product_Matching",
    "product_relation": "Product_Relation_Prediction",
    "product_substitute": "Product_Substitue_Identification",
    "query_product_ranking_ecinstruct": "Query_Product_Ranking",
    "query_product_retrieval": "Query_Product_Ranking",
    "query_product_relevance": "Multiclass_Product_Classification",
    "review_sentiment_ranking": "Sentiment_Analysis",
    "sentiment_analysis": "Sentiment_Analysis",
    "sequential_recommendation": "Sequential_Recommendation",
}
RELATIONS = ["A: Both are bought.", "B: Both are viewed.", "C: Both are alike."]
MATCH = {"title": "Oak Board", "description": float("nan"), "manufacturer": "nan", "price": "19.99"}
QUERY = {"query": "oak board", "product": "Oak Board"}


def asked(name: str, raw: Path) -> list[Question]:
    """The task's questions, at least one, all of them fit."""
    task = load_task(name)
    found = list(task.build(RawData(raw), Seeded(0, name)))
    assert found and not [question for question in found if problem(task.type, question)]
    return found


def of_rows(tmp_path: Path, name: str, *rows: tuple[Any, str], options: Any = None) -> list[Question]:
    """Questions on rows with these inputs and outputs; texts are put in as they are, the rest as JSON."""
    base: dict[str, Any] = {"task": PUBLISHED[name], "split": "train", "setting": "IND_Diverse_Instruction"}
    base |= {"instruction": "Do it.", "options": options if isinstance(options, str | None) else json.dumps(options)}
    inputs = [given if isinstance(given, str) else json.dumps(given) for given, _ in rows]
    file = tmp_path / "ecinstruct/dataset.json"
    write_json(file, [base | {"input": a, "output": b} for a, (_, b) in zip(inputs, rows, strict=True)])
    return list(load_task(name).build(RawData(tmp_path), Seeded(0, name)))


def answer(question: Question) -> str:
    """The text of the right option."""
    assert isinstance(question.truth, int)
    return str(question.fields["options"][question.truth])


def kind_of(title: str) -> ProductType:
    """The type that a title or a query names."""
    named = [kind for kind in catalogue().types if kind.names[0].lower() in title.lower()]
    return max(named, key=lambda kind: len(kind.names[0]))


def label(query: str, title: str) -> str:
    """E, S, C or I by the words alone."""
    wanted, found = kind_of(query), kind_of(title)
    if found is not wanted:
        return "C" if found.index in wanted.goes_with else "I"
    return "E" if set(query.split()) <= set(title.lower().replace(",", "").split()) else "S"


# --- the answers, on the sample shop ---


def test_reviews_are_ranked_by_their_stars(shop: Path) -> None:
    stars = {text: at for kind in catalogue().types for at, texts in enumerate(kind.openers) for text in texts}
    for question in asked("review_sentiment_ranking", shop):
        given = [next(at for text, at in stars.items() if item.startswith(text)) for item in question.fields["items"]]
        assert sorted(given) == [0, 1, 2, 3, 4] and question.truth == [at / 4 for at in given]
        assert len(set(question.also)) == 4 and question.entity not in question.also


def test_what_is_retrieved_fits_better_than_all_others(shop: Path) -> None:
    counts = Counter[int]()
    for question in asked("query_product_retrieval", shop):
        query, items = question.fields["query"], question.fields["items"]
        assert isinstance(question.truth, list) and len(items) == 10
        rank = ["ESCI".index(label(query, item)) for item in items]
        right = [rank[int(at) - 1] for at in question.truth]
        wrong = [rank[at] for at in range(10) if at + 1 not in question.truth]
        assert max(right) < min(wrong) and len(right) == question.fields["count"]
        counts[len(right)] += 1
    assert set(counts) >= {1, 2}


def test_a_question_is_answered_by_what_is_said_on_its_aspect(shop: Path) -> None:
    said = {aspect.name: {*aspect.good, *aspect.bad} for kind in catalogue().types for aspect in kind.aspects}

    def telling(question: Question) -> set[str]:
        aspects = [name for name in said if f" the {name} of " in question.fields["question"]]
        return said[max(aspects, key=len)] & set(question.fields["snippets"])

    for question in asked("answerability", shop):
        assert answer(question) == ("yes" if telling(question) else "no")
    for question in asked("answer_generation", shop):
        assert {question.truth} == telling(question)


def test_the_same_product_has_the_same_words(shop: Path) -> None:
    questions = asked("product_matching", shop)
    for question in questions:
        first, second = (
            sorted(question.fields[name].partition("\n")[0].lower().replace(",", "").replace(" by ", " ").split())
            for name in ("first", "second")
        )
        assert answer(question) == ("yes" if first == second else "no")
        assert "nan" not in {line.partition(": ")[2] for line in question.fields["second"].split("\n")}
    assert any("manufacturer" not in question.fields["second"] for question in questions)


def test_the_relation_follows_from_types_and_makers(shop: Path) -> None:
    texts = [text.partition(": ")[2] for text in wordings()["relations"]]
    for question in asked("product_relation", shop):
        first, second = question.fields["first"], question.fields["second"]
        one, other = kind_of(first), kind_of(second)
        if one is not other:
            assert other.index in one.goes_with
            expected = 0
        else:  # a title begins with the brand; a book's names its author instead
            makers = [
                title.split(" by ")[-1].split(",")[0] if one.topics else title.split()[0] for title in (first, second)
            ]
            expected = 2 if makers[0] == makers[1] else 1
        assert answer(question) == texts[expected]


def test_relevance_follows_from_the_words(shop: Path) -> None:
    texts = {key: text.partition(": ")[2] for key, text in wordings()["relevance"].items()}
    labels = Counter[str]()
    for question in asked("query_product_relevance", shop):
        found = label(question.fields["query"], question.fields["title"])
        labels[found] += 1
        assert answer(question) == texts[found]
        assert sorted(question.fields["options"]) == sorted(texts.values())
    assert set(labels) >= set("ESI")  # few complements have a word of the query
    for question in asked("product_substitute", shop):
        found = label(question.fields["query"], question.fields["title"])
        assert answer(question) == ("yes" if found == "S" else "no")
        assert sorted(question.fields["options"]) == ["no", "yes"]


def test_weights_fall_with_relevance(shop: Path) -> None:
    sizes = Counter[int]()
    for question in asked("query_product_ranking_ecinstruct", shop):
        items, weights = question.fields["items"], question.truth
        assert isinstance(weights, list)
        sizes[len(items)] += 1
        ranked = sorted(zip(weights, items, strict=True), reverse=True)
        assert all(better > worse for (better, _), (worse, _) in pairwise(ranked))
        places = ["ESCI".index(label(question.fields["query"], title)) for _, title in ranked]
        assert places == sorted(places)
    assert set(sizes) == {2, 3, 4}


def test_the_next_purchase_goes_with_those_before(shop: Path) -> None:
    for question in asked("sequential_recommendation", shop):
        history, options = question.fields["history"], question.fields["options"]
        assert len(history) <= 4 and len(options) <= 8
        near = {index for line in history for index in (kind_of(line).index, *kind_of(line).goes_with)}
        fitting = [option for option in options if kind_of(option).index in near]
        assert fitting == [answer(question)]


# --- who is on which side of the split ---


def test_a_query_and_a_title_go_by_one_name_in_all_tasks(tmp_path: Path) -> None:
    listed = {"query": "Oak Board", "product title": "OAK  board"}
    (judged,) = of_rows(tmp_path, "query_product_relevance", (listed, "A: It fits."), options=["A: It fits.", "B: No."])
    (substitute,) = of_rows(tmp_path, "product_substitute", (QUERY, "no"))
    ranking = {"query": "oak board", "product list": ["A: Tin Can", "B: oak board"]}
    (ranked,) = of_rows(tmp_path, "query_product_ranking_ecinstruct", (ranking, "B,A"))
    pair = {"Product 1:": "Oak Board", "Product 2:": "Tin Can"}
    (related,) = of_rows(tmp_path, "product_relation", (pair, "B"), options=RELATIONS)
    listings = {"product 1": MATCH, "product 2": MATCH | {"title": "Tin Can"}}
    (matched,) = of_rows(tmp_path, "product_matching", (listings, "no"))
    (bought,) = of_rows(
        tmp_path,
        "sequential_recommendation",
        (str(["1st: Tin Can. Home. Aldwick.", "2nd: Jar. Home. Aldwick."]), "B"),
        options=str(["A: Lamp. Home. Aldwick.", "B: Oak Board. Home. Aldwick."]),
    )
    extracted_from = {"product title": "Oak Board", "target attributes": "Material"}
    values = json.dumps([{"attribute": "material", "value": "oak", "source": "product title"}])
    (extracted,) = of_rows(tmp_path, "attribute_value_extraction", (extracted_from, values))
    assert {judged.entity, substitute.entity, ranked.entity} == {"query:oak board"}
    assert judged.also == substitute.also and set(judged.also) < set(ranked.also)
    assert {related.entity, matched.entity, bought.entity, extracted.entity} == set(judged.also)
    assert related.also == matched.also == bought.also[:1] and len(bought.also) == 3


def test_training_shows_no_product_that_is_held_out(tmp_path: Path) -> None:
    jars = [f"Jar {number}" for number in range(200)]
    held = [jar for jar in jars if held_out(title_entity(jar))][:3]
    free = [jar for jar in jars if not held_out(title_entity(jar))][:4]
    bought = str([f"{number}: {jar}. Home." for number, jar in enumerate([held[0], free[0]], start=1)])
    for right, other in ((free[1], held[1]), (held[1], free[1])):
        options = str([f"A: {right}. Home.", f"B: {other}. Home.", f"C: {free[2]}. Home.", f"D: {held[2]}. Home."])
        (question,) = of_rows(tmp_path, "sequential_recommendation", (bought, "A"), options=options)
        shown = {*question.fields["history"], *question.fields["options"]}
        everything = {f"{jar}. Home." for jar in (held[0], free[0], right, other, free[2], held[2])}
        expected = everything if right in held else {f"{jar}. Home." for jar in (free[0], right, free[2])}
        assert shown == expected and question.entity == title_entity(right)
        assert {question.entity, *question.also} == {title_entity(line.partition(".")[0]) for line in shown}


# --- rows as published ---


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
