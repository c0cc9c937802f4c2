"""The tasks on Amazon Reviews: answers recomputed from the shop's rules, and rows as messy as the published ones."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dataset_builders.held_out import held_out
from dataset_builders.pools.fitness import problem
from dataset_builders.raw import RawData
from dataset_builders.sample_shop.catalogue import Aspect, ProductType, catalogue
from dataset_builders.sample_shop.words import asin
from dataset_builders.task import Question, Seeded, load_task
from dataset_builders.tasks._aspects import aspects, kin, phrases
from dataset_builders.tasks.product_fact_question import CANNOT
from tests.dataset_builders.raw_files import write_jsonl

SHOP_TYPES = {asin(index): catalogue().types[index % len(catalogue().types)] for index in range(1_000)}
BY_LEAF = {kind.path[-1]: kind for kind in catalogue().types}
CASES = ("Electronics", "Cases", "Phone Cases")


def asked(name: str, raw: Path) -> list[Question]:
    """The task's questions, all of them fit, and each of one side of the split."""
    task = load_task(name)
    found = list(task.build(RawData(raw), Seeded(0, name)))
    assert not [question for question in found if problem(task.type, question)]
    for question in found:
        assert question.entity.startswith("product:") and question.entity not in question.also
        assert len({held_out(entity) for entity in (question.entity, *question.also)}) == 1
    return found


def product(
    number: int, title: str = "Thing", leaf: str | tuple[str, ...] = "Things", **columns: Any
) -> dict[str, Any]:
    path = ["Home", leaf] if isinstance(leaf, str) else list(leaf)
    row: dict[str, Any] = {"parent_asin": f"P{number}", "title": title, "main_category": "Home", "categories": path}
    row |= {"features": [], "description": [], "price": None, "store": None, "details": {}}
    return row | columns


def review(number: int, text: str = "", rating: int = 5, user: str = "U") -> dict[str, Any]:
    ids = {"asin": "A", "parent_asin": f"P{number}", "user_id": user, "timestamp": 1_600_000_000_000 + number}
    return ids | {"rating": float(rating), "title": "", "text": text, "helpful_vote": 0}


def of_rows(tmp_path: Path, name: str, products: Iterable[Any], reviews: Iterable[Any] = ()) -> list[Question]:
    folder = tmp_path / "amazon_reviews/raw"
    write_jsonl(folder / "review_categories/Home.jsonl", list(reviews))
    write_jsonl(folder / "meta_categories/meta_Home.jsonl", list(products))
    return asked(name, tmp_path)


def answer(question: Question) -> str:
    assert isinstance(question.truth, int)
    return str(question.fields["options"][question.truth])


def wrong(question: Question) -> list[str]:
    return [option for option in question.fields["options"] if option != answer(question)]


def retrieved(question: Question) -> list[str]:
    assert not isinstance(question.truth, int | str)
    return [question.fields["items"][int(place) - 1] for place in question.truth]


def metas(shop: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((shop / "amazon_reviews/raw/meta_categories").glob("*.jsonl.gz")):
        for row in map(json.loads, gzip.decompress(path.read_bytes()).splitlines()):
            details = row["details"]
            yield row | {"details": json.loads(details) if isinstance(details, str) else details}


def kind_of(question: Question) -> ProductType:
    return SHOP_TYPES[question.entity.removeprefix("product:")]


# --- the lexicon ---


def shop_aspects() -> dict[str, Aspect]:
    return {aspect.name: aspect for kind in catalogue().types for aspect in kind.aspects}


def test_the_lexicon_tells_what_the_shops_reviews_say() -> None:
    for name, aspect in shop_aspects().items():
        for verdict, sentences in ((1, aspect.good), (-1, aspect.bad)):
            for sentence in sentences:
                assert [(phrase.about, phrase.verdict) for phrase in phrases(sentence)] == [((name,), verdict)], (
                    sentence
                )
    for kind in catalogue().types:
        assert not [phrase for texts in kind.openers for text in texts for phrase in phrases(text) if phrase.about]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Very soft, and it is well made!", [("Very soft", "softness", 1), ("well made", "quality", 1)]),
        ("The sound is great but the battery died", [("sound is great", "sound quality", 1)]),
        ("It’s not comfortable (wish I knew).", [("not comfortable", "comfort", -1)]),
        ("It smells like nothing I know", [("smells like nothing I know", "smell", 0)]),
        ("Only the strap is nice", [("Only the strap is nice", "straps", 0)]),
        ("It costs 2.50, a bargain at 9:30", [("bargain at 9:30", "value for money", 0)]),
        ("It runs small and was overpriced", [("runs small and was overpriced", "size", -1)]),
        ("Like a glove, as pictured. It sounds like a plan.", []),
    ],
)
def test_the_lexicon_leaves_open_what_it_cannot_tell(text: str, found: list[tuple[str, str, int]]) -> None:
    told = [(phrase.text, *phrase.about, phrase.verdict) for phrase in phrases(text) if len(phrase.about) == 1]
    assert set(found) <= set(told)
    assert all(phrase.text in text for phrase in phrases(text))


def test_kin_is_mutual() -> None:
    assert all(aspect in kin(other) for aspect in aspects() for other in kin(aspect))
    assert set(shop_aspects()) <= set(aspects())


# --- on products ---


def test_explanations_are_the_types_own(shop: Path) -> None:
    bare: set[str] = set()
    for question in asked("product_type_explanation", shop):
        kind, name = kind_of(question), question.fields["product_type"].lower()
        assert question.truth == kind.about and name in kind.about.lower()
        assert bool(question.fields["example"]) == (name in bare)
        bare.add(name)
    assert len(bare) > 40


@pytest.mark.parametrize(
    ("leaf", "text", "found"),
    [
        ("Coffee Cups & Mugs", "<p>Big one. A mug is a cup with straight sides and a handle. Ours has two.</p>", "mug"),
        ("Lanterns", "A lantern gives light to people who walk in the dark.", "lantern"),
        ("Cookies", "Cookies are small sweet cakes that are baked until they are crisp.", "Cookies"),
        ("Scarves", "A scarf is a piece of cloth that is worn around the neck.", "scarf"),
        ("Mugs", "A mug is a great gift for people who drink coffee in the office.", None),
        ("Mugs", "The mug is a cup with straight sides and a handle.", None),
        ("Mugs", "Mugs are dishwasher safe and come with a spoon.", None),
        ("Mugs", "A mug is a cup that our team in Ohio makes by hand.", None),
        ("Kettles", "A mug is a cup with straight sides and a handle.", None),
        ("Accessories", "Accessories are things that go with other things.", None),
    ],
)
def test_only_definitions_explain(tmp_path: Path, leaf: str, text: str, found: str | None) -> None:
    rows = [product(1, leaf=leaf, description=[text]), product(2, "Red One", leaf, features=[text])]
    made = of_rows(tmp_path, "product_type_explanation", rows)
    assert [question.fields["product_type"] for question in made] == [found, found] * (found is not None)
    assert [question.fields["example"] for question in made] == ["", "Red One"] * (found is not None)


def test_attributes_are_those_of_one_category_alone(shop: Path) -> None:
    having: defaultdict[str, set[str]] = defaultdict(set)
    for row in metas(shop):
        having[row["categories"][-1]] |= row["details"].keys()
    for question in asked("category_attribute", shop):
        attribute = question.fields["attribute"]
        assert attribute not in {"Brand", "Color", "Size", "Material", "Item model number"}
        assert [option for option in question.fields["options"] if attribute in having[option]] == [answer(question)]


def test_a_category_of_few_products_proves_nothing(tmp_path: Path) -> None:
    leaves = ["Lamps", "Mugs", "Pots", "Rugs", "Beds"]
    rows = [product(number, leaf=leaves[number % 5]) for number in range(200)]
    for row in rows[::5]:
        row["details"] = {"Light Source Type": "LED", "ASIN": "B0", "Best Sellers Rank": {"Home": 7}}
    rows += [product(200 + number, leaf="Sofas") for number in range(19)]
    made = of_rows(tmp_path, "category_attribute", rows)
    assert {question.fields["attribute"] for question in made} == {"Light Source Type"} and len(made) == 40
    assert {option for question in made for option in wrong(question)} == {"Mugs", "Pots", "Rugs", "Beds"}


def test_facts_are_what_the_title_tells(shop: Path) -> None:
    rows = {f"product:{row['parent_asin']}": row for row in metas(shop)}
    hidden, made = 0, asked("product_fact_question", shop)
    for question in made:
        row, options = rows[question.entity], question.fields["options"]
        true = {name.lower(): value for name, value in row["details"].items()}[question.fields["attribute"]]
        told = [option for option in options if option in row["title"]]
        assert options[-1] == CANNOT and len(options) == 4
        if answer(question) == CANNOT:
            hidden += 1
            assert not told and true not in options
        else:
            assert answer(question) == true and true in told
    assert 0.15 < hidden / len(made) < 0.30


def test_facts_that_a_title_may_tell_in_other_words_are_not_asked(tmp_path: Path) -> None:
    materials = ["Leather", "Faux Leather", "Canvas", "Nylon"]
    rows = [
        product(n, f"{materials[n % 4]} Bag", details={"Material": materials[n % 4], "Brand": "Bag"}) for n in range(40)
    ]
    rows += [product(50, "Steel Bag", details={"Material": "Stainless Steel", "Heavy": "Yes", "Count": "9"})]
    rows += [product(51, "Canvas Bag", details={"Material": "Oak"}), product(52, "Nylon Bag", details=None)]
    made = of_rows(tmp_path, "product_fact_question", rows)
    assert {question.fields["attribute"] for question in made} == {"material"} and len(made) >= 20
    assert not {question.entity for question in made} & {"product:P50", "product:P51", "product:P52"}
    for question in made:
        assert "Leather" not in answer(question) or not [option for option in wrong(question) if "Leather" in option]


def test_measures_differ_in_their_number(tmp_path: Path) -> None:
    sizes = ["8 Inch", "10 Inch", "12 Inch", "14 Inch", "20 cm", "24 cm"]
    rows = [product(number, f"Pan, {size}", details={"Size": size}) for number, size in enumerate(sizes * 3)]
    made = of_rows(tmp_path, "product_fact_question", rows)
    assert made and all("cm" not in option for question in made for option in question.fields["options"])


def test_complements_are_bought_together(shop: Path) -> None:
    made = asked("complementary_category", shop)
    for question in made:
        kind, right = BY_LEAF[question.fields["product_type"]], BY_LEAF[answer(question)]
        partners = {right.index, *(BY_LEAF[option].index for option in wrong(question))}
        assert kind is kind_of(question)
        assert {
            index for index in partners if index in kind.goes_with or kind.index in catalogue().types[index].goes_with
        } == {right.index}


@pytest.mark.parametrize("published", [True, False])
def test_complements_are_far_above_chance(tmp_path: Path, published: bool) -> None:
    """Mugs go with kettles, and pots with lids. Bags go with everything, which tells nothing."""
    leaves = ["Mugs", "Kettles", "Pots", "Lids", "Rugs", "Beds"]
    products = [product(number, f"No {number}", leaves[number % 6]) for number in range(180)]
    products += [product(200 + number, leaf="Bags") for number in range(180)]
    pairs = [(number, number + 1) for number in range(0, 180, 2)] + [(number, 200 + number) for number in range(180)]
    pairs += [(1, 2), (7, 8)]
    if published:
        for one, other in pairs:
            products[one].setdefault("bought_together", ["P9999"]).append(f"P{other}")
    reviews = [review(item, user=f"U{at}") for at, pair in enumerate(pairs) for item in pair]
    made = of_rows(tmp_path, "complementary_category", products, [] if published else reviews)
    together = {frozenset((question.fields["product_type"], answer(question))) for question in made}
    assert together == {frozenset(pair) for pair in (("Mugs", "Kettles"), ("Pots", "Lids"), ("Rugs", "Beds"))}
    never = {frozenset((question.fields["product_type"], option)) for question in made for option in wrong(question)}
    assert not never & (together | {frozenset(("Kettles", "Pots"))})
    assert all("Bags" not in question.fields["options"] for question in made)
    assert {bool(question.fields["example"]) for question in made} == {True, False}


def test_what_fits_is_stated(shop: Path) -> None:
    rows = {f"product:{row['parent_asin']}": row for row in metas(shop)}
    for question in asked("compatibility", shop):
        row = rows[question.entity]
        listing = [*row["features"], *(f"{name}: {value}" for name, value in row["details"].items())]
        assert question.fields["statement"] in listing and answer(question) in question.fields["statement"]
        assert not [option for option in wrong(question) if option in str(row)]


OTHERS = ["Fits Norv A1.", "Fits Norv B2.", "Fits Norv C3.", "Fits Norv 12s.", "Fits Norv D4.", "Fits Norv E5."]


@pytest.mark.parametrize(
    ("columns", "right"),
    [
        ({"features": ["Slim. Compatible with Norv 12, Norv 14 Pro and 15."]}, ["Norv 12", "Norv 14 Pro"]),
        ({"title": "Case for Norv 12, Clear"}, ["Norv 12"]),
        ({"details": {"Compatible Phone Models": "Norv 12"}}, ["Norv 12"]),
        ({"title": "Case for Norv 12 Clear"}, []),
        ({"title": "Universal case", "features": ["Fits Norv 12 and most others"]}, []),
        ({"features": ["Fits Norv 11-13."]}, []),
        ({"features": ["It is NOT compatible with Norv 12."]}, []),
        ({"features": ["Works with Bluetooth 5."]}, []),
        ({"features": ["Great for 12 hours."]}, []),
    ],
)
def test_only_what_is_named_fits(tmp_path: Path, columns: dict[str, Any], right: list[str]) -> None:
    rows = [product(number, "Case", CASES, features=[text]) for number, text in enumerate(OTHERS)]
    made = of_rows(tmp_path, "compatibility", [*rows, product(99, leaf=CASES) | columns])
    own = [question for question in made if question.entity == "product:P99"]
    assert [answer(question) for question in own] == right
    assert not [option for question in own for option in wrong(question) if "12" in option]


# --- on reviews ---


def said(text: str) -> dict[str, list[str]]:
    """What a review of the shop says on which aspect."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, aspect in shop_aspects().items():
        found[name] += [sentence for sentence in (*aspect.good, *aspect.bad) if sentence in text]
    for name, fact in (("delivery", "Delivery took"), ("size", "stated size is off"), ("color", " one from")):
        found[name] += [sentence for sentence in text.split(".") if fact in sentence and "plain" not in sentence]
    return {name: sentences for name, sentences in found.items() if sentences}


def test_snippets_are_on_the_aspect_with_the_sentiment(shop: Path) -> None:
    for question in asked("review_snippet_selection", shop):
        aspect, blames = shop_aspects()[question.fields["aspect"]], question.fields["sentiment"] == "negative"
        sentences = " ".join(aspect.bad if blames else aspect.good)
        fitting = {item for item in question.fields["items"] if item in sentences}
        if aspect.name == "size" and blames:
            fitting |= {item for item in question.fields["items"] if item.startswith("stated size is off")}
        assert set(retrieved(question)) == fitting and len(fitting) == 3 and len(question.fields["items"]) == 15
        close = [other for name, other in shop_aspects().items() if name in kin(aspect.name) - {aspect.name}]
        texts = [sentence for other in close for sentence in (*other.good, *other.bad)]
        assert not [item for item in question.fields["items"] for text in texts if item in text]
        assert kind_of(question).path[-1] == question.fields["product_type"]


def test_a_snippet_needs_the_stars_on_its_side(tmp_path: Path) -> None:
    products = [product(number, leaf="Rugs") for number in range(120)]
    texts = [
        "It is very soft.",
        "So soft!",
        "The price is great.",
        "Great price.",
        "It smells great.",
        "It is too small.",
    ]
    texts += ["Love the color.", "It is well made.", "Fast shipping.", "It broke.", "It stinks.", "The color is ugly."]
    texts += ["The price is a waste.", "Cute.", "It is too big.", "Nice packaging.", "It is ugly.", "Easy to clean."]
    reviews = [
        review(number, f"{texts[number % 18]} Silky.", 5 if number % 18 in (0, 1, 2, 3, 4, 6, 7, 8, 13, 15, 17) else 1)
        for number in range(120)
    ]
    made = of_rows(tmp_path, "review_snippet_selection", products, reviews)
    praised = {"very soft", "So soft", "Silky"}
    soft = [question for question in made if question.fields["aspect"] == "softness"]
    assert soft and all(question.fields["sentiment"] == "positive" for question in soft)
    assert all(set(retrieved(question)) == praised for question in soft)


def test_a_keyphrase_is_the_only_one_on_its_aspect(shop: Path) -> None:
    made = asked("review_aspect_keyphrase", shop)
    for question in made:
        text, aspect, phrase = question.fields["review"], question.fields["aspect"], str(question.truth)
        assert text.count(phrase) == 1 and 1 <= len(phrase.split()) <= 8
        [sentence] = said(text)[aspect]
        assert phrase in sentence
    assert len({question.fields["aspect"] for question in made}) > 20


def test_a_keyphrase_among_close_ones_is_not_asked(tmp_path: Path) -> None:
    texts = [
        "So soft and great. <br/>The price is great.",
        "Great price. The price is not what I saw.",
        "It is so soft, so comfy.",
    ]
    reviews = [review(1, f"{text} I have had it for three weeks.") for text in texts]
    made = of_rows(tmp_path, "review_aspect_keyphrase", [product(1)], reviews)
    assert {(question.fields["aspect"], question.truth) for question in made} <= {
        ("softness", "So soft and great"),
        ("value for money", "price is great"),
    }
    assert len(made) == 1 and "<br" not in made[0].fields["review"]


def test_selected_aspects_are_covered_and_others_are_not(shop: Path) -> None:
    made = asked("review_aspect_selection", shop)
    for question in made:
        covered, right = said(question.fields["review"]), retrieved(question)
        assert len(question.fields["items"]) == 10 and len(right) == 3
        assert set(right) <= covered.keys()
        others = set(question.fields["items"]) - set(right)
        assert not others & {near for aspect in covered for near in kin(aspect)}


def test_wrong_reviews_are_of_the_same_side(shop: Path) -> None:
    made = asked("review_for_product", shop)
    assert all(1 <= len(question.also) <= 3 for question in made)
    assert {held_out(question.entity) for question in made} == {True, False}


@pytest.mark.parametrize("name", ["product_category", "review_rating", "review_helpfulness_ranking"])
def test_products_go_by_their_id_alone(name: str, shop: Path) -> None:
    known = {f"product:{row['parent_asin']}" for row in metas(shop)}
    assert {question.entity for question in asked(name, shop)} <= known


def test_siblings_are_wrong_before_cousins(shop: Path) -> None:
    """Wrong categories: siblings before cousins, and none of the product's own path."""
    for question in asked("product_category", shop):
        path = kind_of(question).path
        shared = [_depth(path, BY_LEAF[option].path) for option in wrong(question)]
        nearest = sorted((_depth(path, kind.path) for kind in catalogue().types if kind.path != path), reverse=True)
        assert sorted(shared, reverse=True) == nearest[:3] and answer(question) == path[-1]


def _depth(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """Categories that two paths share from the top."""
    return next(depth for depth in range(len(one) + 1) if one[: depth + 1] != other[: depth + 1])
