"""The datasets that match ESCI's queries, titles and texts: true to the judgements, answered from the text alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from dataset_builders.given_away import given_away
from dataset_builders.raw import RawData
from dataset_builders.sample_shop.catalogue import catalogue
from dataset_builders.sources import esci
from dataset_builders.task import Question, Seeded, load_task
from dataset_builders.tasks._judgements import stems
from tests.dataset_builders.esci_rows import asked, judge, labels, products
from tests.dataset_builders.test_tasks_judgements import kind_of

QUERIES = ("query_for_description", "query_for_features", "query_for_title")
TITLES = ("title_for_description", "title_for_features")
BY_QUERY = ("title_for_query", "product_for_query", "exact_match_selection")


def choices(question: Question) -> tuple[list[str], list[str]]:
    """Right ones and wrong ones."""
    truth, shown = question.truth, question.fields.get("options") or question.fields["items"]
    assert not isinstance(truth, str)
    places = {truth} if isinstance(truth, int) else {int(place) - 1 for place in truth}
    right = [shown[place] for place in sorted(places)]
    return right, [option for option in shown if option not in right]


def share(text: str, shown: str) -> float:
    """Of the words of ``text``, how many stand in ``shown``; a plural's s does not count."""
    own = stems(text)
    return len(own & stems(shown)) / len(own)


def told_by(question: Question) -> str:
    shown = (value for name, value in question.fields.items() if name not in ("options", "items"))
    return " ".join(value if isinstance(value, str) else " ".join(value) for value in shown)


def picked(options: Sequence[str], likeness: Mapping[str, float], count: int) -> list[str]:
    return sorted(options, key=lambda option: -likeness[option])[:count]


@pytest.mark.parametrize("name", [*QUERIES, *TITLES, *BY_QUERY])
def test_whoever_compares_words_finds_the_answer(name: str, shop: Path) -> None:
    """No wrong option shares as large a part of its words with what is shown (of a title: what is asked) as a right
    one, and wrong ones are like it: of the same type, most of the time."""
    same, all_wrong = 0, 0
    for question in asked(name, shop):
        shown, (right, wrong) = told_by(question), choices(question)
        by_words = {text: share(shown, text) if name in BY_QUERY else share(text, shown) for text in (*right, *wrong)}
        assert sorted(picked([*wrong, *right], by_words, len(right))) == sorted(right), question
        assert max(by_words[text] for text in wrong) < min(by_words[text] for text in right)
        kinds = {kind_of(text) for text in right}
        same += sum(kind_of(text) in kinds for text in wrong)
        all_wrong += len(wrong)
    assert same >= all_wrong / 2


@pytest.mark.parametrize("name", QUERIES)
def test_the_right_query_is_judged_exact_and_no_other_fits(name: str, shop: Path) -> None:
    for question in asked(name, shop):
        id = question.entity.removeprefix("product:")
        (right,), wrong = choices(question)
        assert labels(shop)[id, right] == "E" and len(wrong) == 3
        for query in wrong:
            assert labels(shop).get((id, query)) != "E" and not stems(query) <= stems(" ".join(products(shop)[id]))


@pytest.mark.parametrize("name", TITLES)
def test_titles_belong_to_their_texts(name: str, shop: Path) -> None:
    for question in asked(name, shop):
        row = products(shop)[question.entity.removeprefix("product:")]
        (right,), _ = choices(question)
        assert right == row.title and right not in told_by(question)
        told = question.fields.get("features") or [question.fields["description"]]
        assert all(text in (row.description, *row.bullet_point.split("\n")) for text in told)


@pytest.mark.parametrize("name", BY_QUERY)
def test_right_products_are_judged_exact(name: str, shop: Path) -> None:
    ids = {row.title: {id for id, other in products(shop).items() if other.title == row.title}
           for row in products(shop).values()}  # fmt: skip
    counts = Counter[tuple[int, int]]()
    for question in asked(name, shop):
        (right, wrong), query = choices(question), question.fields["query"]
        said = [[{labels(shop).get((id, query)) for id in ids[title]} for title in side] for side in (right, wrong)]
        assert all("E" in found for found in said[0]) and not any("E" in found for found in said[1])
        assert name == "title_for_query" or not any(found == {None} for found in said[1])
        counts[len(right), len(wrong)] += 1
    expected = {(3, count) for count in range(3, 8)} if name == "exact_match_selection" else {(1, 3)}
    assert set(counts) <= expected


def test_bullet_points_belong_to_their_product_and_name_it(shop: Path) -> None:
    named = Counter[bool]()
    for question in asked("bullet_point_selection", shop):
        row = products(shop)[question.entity.removeprefix("product:")]
        right, wrong = choices(question)
        own = row.bullet_point.split("\n")
        assert len(right) == 3 and set(right) <= set(own) and not set(wrong) & set(own) and 4 <= len(wrong) <= 7
        shared = {point: len(stems(point) & stems(row.title)) for point in (*right, *wrong)}
        assert max(shared[point] for point in wrong) < min(shared[point] for point in right) >= 2
        for point in wrong:
            assert stems(point) - stems(" ".join(row))
            named[any(re.search(rf"\b{brand}\b", point) for brand in catalogue().brands)] += 1
    assert named[True] > named[False]


def test_the_brand_is_the_column_and_stands_in_the_title(shop: Path) -> None:
    kinds = 0
    for question in asked("title_brand", shop):
        row, (right, wrong) = products(shop)[question.entity.removeprefix("product:")], choices(question)
        assert right == [row.brand] and row.brand in row.title
        # Of what the title says, one thing is a brand.
        found = [option for option in (*right, *wrong) if option in row.title]
        assert [option for option in found if option in catalogue().brands] == right
        kinds += len(found) > 1
    assert kinds >= 50


def _relation(query: str, title: str) -> str:
    """What somebody says who knows the shop's types, and what goes with them."""
    kind, other = kind_of(query), kind_of(title)
    if kind is other:
        return "E" if stems(query) <= stems(title) else "S"
    return "C" if other.index in kind.goes_with else "I"


def test_relations_follow_from_query_and_title(shop: Path) -> None:
    names, counts = {"E": "exact match", "S": "substitute", "C": "complement", "I": "irrelevant"}, Counter[str]()
    for question in asked("query_product_relation", shop):
        (right,), _ = choices(question)
        relation = _relation(question.fields["query"], question.fields["title"])
        assert right == names[relation]
        counts[relation] += 1
    assert min(counts[label] for label in "ESI") >= 20 and counts["C"] >= 5


def test_pairs_are_ranked_by_relations_that_all_differ(shop: Path) -> None:
    for question in asked("query_product_pair_ranking", shop):
        pairs = [item.split(" | ") for item in question.fields["items"]]
        assert question.truth == [esci.WEIGHTS[_relation(query, title)] for query, title in pairs]
        assert sorted(question.truth) == sorted(esci.WEIGHTS.values())
        assert question.entity in {f"query:{query}" for query, _ in pairs}


# --- Rows as they are published ---

BOARD = "Aldwick Oak Bread Board with Juice Groove"
POINTS = "JUICE GROOVE: it keeps your table dry\nSOLID OAK BREAD BOARD made to last\nGROOVE of the board by hand"
OTHERS = {"b": "Brenmoor Slate Board, Round", "c": "Caldane Bamboo Tray with Handles", "d": "Dorvane Glass Plate",
          "v": f"{BOARD}, Small", "e": "Ellory Slate Coaster"}  # fmt: skip
LABELS = {"b": "S", "c": "C", "d": "I", "v": "E", "e": "I", "a": "E", "n": "E", "t": "E"}
ABOUT = "<p>A bread board of solid oak; its juice groove keeps the table dry. Aldwick oils it by hand.</p>"


@pytest.fixture(scope="module")
def messy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 boards with a query each, rows that lack texts, variants of a listing, and queries that say "without"."""
    names = {**OTHERS, "a": BOARD, "n": f"{BOARD} N", "t": f"{BOARD} T"}
    texts = {key: f"{name}: a thing of beauty that its maker makes with care and sells in every land."
             for key, name in OTHERS.items()}  # fmt: skip
    texts |= {"a": ABOUT, "t": f"{BOARD} T. It is solid, it is oiled by hand, and made to last."}
    points = {key: "\n".join(f"{part} of the {name}, as we make it" for part in ("Edge", "Foot", "Look"))
              for key, name in OTHERS.items()} | {"a": POINTS, "v": POINTS}  # fmt: skip
    brands = {key: name.split()[0] for key, name in OTHERS.items() if key != "v"} | {"a": "Aldwick", "n": "Generic"}
    said = {"title": names, "description": texts, "bullet_point": points, "brand": brands}
    columns = {what: {f"{key}{turn}": value for key, value in values.items() for turn in range(40)}
               for what, values in said.items()}  # fmt: skip
    # So that no brand is always followed by one word that follows it alone: by half of its name.
    more = {f"x{at}": f"{brand} Pine Stool" for at, brand in enumerate(("Aldwick", "Caldane", "Dorvane"))}
    columns["title"] |= more
    columns["brand"] |= {id: title.split()[0] for id, title in more.items()}
    rows = []
    for turn in range(40):
        rows += [(f"oak bread board {turn}0", f"{key}{turn}", label) for key, label in LABELS.items()]
        rows += [(f"bread board without groove {turn}0", f"a{turn}", "E"), (f"slate board {turn}0", f"a{turn}", "S")]
        rows += [(f"oak boards tray {turn}0", f"c{turn}", "E"), (f"bread knife {turn}0", f"d{turn}", "E")]
    return judge(tmp_path_factory.mktemp("messy"), rows, columns)


def test_rows_that_lack_what_is_asked_are_counted(messy: Path) -> None:
    for name, what, count in (
        ("query_for_description", "without description", 40), ("title_for_features", "without features", 80),
        ("bullet_point_selection", "without features", 80), ("title_brand", "without brand", 120),
        ("query_for_title", "without title", 0),
    ):  # fmt: skip
        raw = RawData(messy)
        assert list(load_task(name).build(raw, Seeded(0, name))) or name in QUERIES
        assert raw.lacking[what] == count and not raw.rejected


@pytest.mark.parametrize("name", [*QUERIES, *TITLES, "title_for_query", "bullet_point_selection"])
def test_what_would_be_right_too_is_no_wrong_option(name: str, messy: Path) -> None:
    for question in asked(name, messy):
        key, (_, wrong) = question.entity.removeprefix("product:")[0], choices(question)
        assert "without" not in " ".join(question.fields.get("options", ())) and "without" not in told_by(question)
        if key in "av":  # two variants of one listing do not meet
            assert not any(text.startswith(BOARD) for text in wrong) and not set(wrong) & set(POINTS.split("\n"))
        if key == "t" and name == "title_for_description":  # its title stands in its description
            assert given_away(load_task(name), question)


def test_the_judgements_make_products_meet(messy: Path) -> None:
    boards = [question for question in asked("title_for_features", messy) if question.entity.startswith("product:a")]
    assert boards and all(choices(question)[0] == [BOARD] for question in boards)
    met = Counter(text for question in boards for text in choices(question)[1])
    assert met[OTHERS["b"]] >= 0.8 * len(boards)  # the substitute, unless it is held out
