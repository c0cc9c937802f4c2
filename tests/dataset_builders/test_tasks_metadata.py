"""The tasks on products' metadata: answers recomputed from the shop's rules, and rows as messy as published ones."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from dataset_builders.sample_shop.catalogue import catalogue
from dataset_builders.task import Question
from dataset_builders.tasks._judgements import apart
from dataset_builders.tasks.product_fact_question import CANNOT
from tests.dataset_builders.review_rows import BY_LEAF, asked, kind_of, metas, of_rows, product, review

CASES = ("Electronics", "Cases", "Phone Cases")


def answer(question: Question) -> str:
    assert isinstance(question.truth, int)
    return str(question.fields["options"][question.truth])


def wrong(question: Question) -> list[str]:
    return [option for option in question.fields["options"] if option != answer(question)]


def test_explanations_are_the_types_own(shop: Path) -> None:
    """The contest asks for the type alone: one question for each definition."""
    made = asked("product_type_explanation", shop)
    for question in made:
        kind, (name,) = kind_of(question), question.fields.values()
        assert question.truth == kind.about and name.lower() in kind.about.lower()
    assert len({question.truth for question in made}) == len(made) > 40


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
    assert [question.fields["product_type"] for question in made] == [found] * (found is not None)


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
    # One that strayed into a category says nothing of it, nor do names that are run together or say nothing.
    rows += [product(300, leaf="Mugs", details={"Sensor Type": "CMOS"})]
    for row in rows[1::5]:
        row["details"] = row["details"] | {"ShippingWeight": "1 lb", "Itemmodelnumber": "7", "Material Type": "Clay"}
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


GARDEN = ["Hoses", "Spades", "Rakes", "Trellises", "Pot Lids"]


@pytest.mark.parametrize("published", [True, False])
def test_complements_are_far_above_chance(tmp_path: Path, published: bool) -> None:
    """Mugs go with kettles, and pots with lids. Bags go with everything, which tells nothing."""
    leaves = ["Mugs", "Kettles", "Pots", "Lids", "Rugs", "Beds"]
    products = [product(number, leaf=leaves[number % 6]) for number in range(180)]
    products += [product(200 + number, leaf="Bags") for number in range(180)]
    products += [product(400 + number, leaf=("Garden", leaf)) for number, leaf in enumerate(GARDEN)]
    pairs = [(number, number + 1) for number in range(0, 180, 2)] + [(number, 200 + number) for number in range(180)]
    pairs += [(1, 2), (7, 8)]
    if published:
        for one, other in pairs:
            products[one].setdefault("bought_together", ["P9999", "P400"]).append(f"P{other}")
    reviews = [review(item, user=f"U{at}") for at, pair in enumerate(pairs) for item in pair]
    made = of_rows(tmp_path, "complementary_category", products, [] if published else reviews)
    together = {frozenset((question.fields["product_type"], answer(question))) for question in made}
    assert together == {frozenset(pair) for pair in (("Mugs", "Kettles"), ("Pots", "Lids"), ("Rugs", "Beds"))}
    # The wrong ones are from elsewhere, but no lids beside pots, and no hoses where they were bought together with it.
    never = {(question.fields["product_type"], option) for question in made for option in wrong(question)}
    assert {option for _, option in never} <= {*GARDEN} and len(never) > 10
    assert ("Pots", "Pot Lids") not in never and ("Lids", "Pot Lids") not in never
    assert ("Mugs", "Hoses") not in never or not published
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
        # Whom it is for, how large it is and how many there are: no devices, and nothing said of these is a fit.
        ({"title": "Orvik Grip Socks Cotton for Women Pack of 4"}, []),
        ({"title": "Orvik Ball Earrings for Girls 6mm"}, []),
        ({"title": "Orvik Band Fits Norv 40mm 44mm"}, []),
        ({"title": "Orvik Planner for Summer 2024"}, []),
        ({"title": "Case for Orvik 12, Clear"}, []),
        ({"features": ["Replacement ink, compatible with Norv 92 Norv 93."]}, []),
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


def test_what_fits_many_of_a_maker_stands_beside_those_of_others(tmp_path: Path) -> None:
    """A charger for a Norv 12 charges a Norv 7, too; a case for one is none for the other."""
    others = ["Norv 7", "Norv 8", "Norv 9", "Selk 21", "Selk 22", "Selk 23"]
    rows = [product(number, "Case", CASES, features=[f"Fits {name}."]) for number, name in enumerate(others)]
    rows += [product(98, "Charger, fits Norv 12", CASES), product(99, "Case, fits Norv 12", CASES)]
    made = {question.entity: question for question in of_rows(tmp_path, "compatibility", rows)}
    assert {option[:4] for option in wrong(made["product:P98"])} == {"Selk"}
    assert len(wrong(made["product:P99"])) == 3


def test_siblings_are_wrong_before_cousins(shop: Path) -> None:
    """Wrong categories: siblings before cousins, and none of the product's own path."""
    for question in asked("product_category", shop):
        path = kind_of(question).path
        shared = [_depth(path, BY_LEAF[option].path) for option in wrong(question)]
        others = [kind.path for kind in catalogue().types if apart(question.fields["title"], kind.path[-1])]
        nearest = sorted((_depth(path, other) for other in others), reverse=True)
        assert sorted(shared, reverse=True) == nearest[:3] and answer(question) == path[-1]


def _depth(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """Categories that two paths share from the top."""
    return next(depth for depth in range(len(one) + 1) if one[: depth + 1] != other[: depth + 1])
