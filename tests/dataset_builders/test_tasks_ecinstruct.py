"""The tasks on ECInstruct: answers recomputed from the shop's own rules, and the two sides of the split."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

from dataset_builders.held_out import held_out
from dataset_builders.sample_shop.catalogue import ProductType, catalogue
from dataset_builders.sample_shop.ecinstruct import wordings
from dataset_builders.task import Question
from dataset_builders.tasks._ecinstruct import title_entity
from tests.dataset_builders.ecinstruct_rows import MATCH, QUERY, RELATIONS, answer, asked, of_rows


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
