"""Which categories name the products in them: learned from the titles of these."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dataset_builders.raw import RawData
from dataset_builders.sources import amazon_reviews
from dataset_builders.task import Seeded, load_task
from dataset_builders.tasks._judgements import stem
from dataset_builders.tasks._product_types import Names
from tests.dataset_builders.raw_files import write_jsonl
from tests.dataset_builders.review_rows import of_rows, product


def names_of(tmp_path: Path, leaf: tuple[str, ...], titles: Sequence[str]) -> tuple[str, ...]:
    """What products of these titles, all of one category, are called by."""
    folder = tmp_path / "amazon_reviews/raw"
    write_jsonl(folder / "review_categories/Shop.jsonl", [])
    write_jsonl(folder / "meta_categories/meta_Shop.jsonl", [product(n, text, leaf) for n, text in enumerate(titles)])
    (path,) = Names(amazon_reviews.products(RawData(tmp_path), "Shop")).paths() or {()}
    return path[-1:]


@pytest.mark.parametrize(
    ("path", "titles", "name"),
    [
        ("Lamps > Floor Lamps", ["Orvik Arc Floor Lamp, Brass", "Tall Lamp with Shelf", "Tripod Lamp"], "Floor Lamps"),
        # Leaves that only divide what is above them.
        (
            "Dresses > Casual",
            ["Orvik Women's Casual Wrap Dress", "Maxi Dress in Blue", "Casual Shirt Dress"],
            "Dresses",
        ),
        ("Earrings > Stud", ["Moon Stud Earrings for Girls", "925 Earrings", "Hoop Earrings Gold"], "Earrings"),
        ("Vitamin B > B6", ["Vitamin B-6, 60 Caps", "B Complex Vitamin", "Orvik Vitamin B6"], "Vitamin B"),
        ("Floor Mats > Universal Fit", ["Rubber Floor Mats Red", "Universal Fit Floor Mats", "Car Mats"], "Floor Mats"),
        ("Tea > Black", ["Orvik Black Tea, 100 Bags", "Malty Black Tea", "Morning Tea"], "Tea"),
        ("Moldings > Door", ["Chrome Door Edge Moldings", "Door Guard Moldings", "Moldings, 2 m"], "Moldings"),
        ("Game Calls > Deer", ["Doe Bleat Deer Call", "Grunt Deer Call", "Buck Roar Call"], "Game Calls"),
        # Neither the leaf nor what is above it is in the titles: no question is better than one on "Geography".
        ("Learning > Geography", ["Orvik Illuminated Globe", "World Globe, 12 inch", "Atlas Globe"], None),
        # What is more often said in other words is still named; what is in no title need not be.
        ("Fixtures > Faucets", ["Kitchen Tap", "Bath Tap", "Pull-Down Faucet"], "Faucets"),
        ("Cutlery > Knives", ["Paring Knife", "Bread Knife, Serrated", "Boning Knife"], "Knives"),
        ("Hats > Beanies", ["Knit Beanie", "Beanie for Men", "Pom Beanie, Red"], "Beanies"),
        ("Bath > Accessories", ["Orvik Bath Accessories", "Accessories for Bath", "Accessories"], "Bath"),
    ],
)
def test_a_name_is_what_titles_say(tmp_path: Path, path: str, titles: list[str], name: str | None) -> None:
    leaf = ("Department", "Branch", *path.split(" > "))
    assert names_of(tmp_path, leaf, titles * 4) == ((name,) if name else ())


def test_no_more_than_the_category_above_stands_in(tmp_path: Path) -> None:
    """ "Pet Supplies > Dogs > Toys > Chew" is no dog."""
    titles = ["Rubber Bone for Dogs", "Rope for Dogs, Large", "Dog Frisbee"]
    assert names_of(tmp_path, ("Pet Supplies", "Dogs", "Toys", "Chew"), titles) == ()


PAIRS = {"dress": "dresses", "battery": "batteries", "cookie": "cookies", "knife": "knives", "glove": "gloves"}
PAIRS |= {"watch": "watches", "glass": "glasses", "box": "boxes", "mouse": "mice", "bus": "bus", "tie": "ties"}


@pytest.mark.parametrize(("one", "many"), PAIRS.items())
def test_one_and_many_have_one_stem(one: str, many: str) -> None:
    assert stem(one) == stem(many)


def test_what_the_title_supports_is_no_wrong_option(tmp_path: Path) -> None:
    kinds = {"Hoodies": "Zip Hoodie", "Jackets": "Field Jacket", "Belts": "Canvas Belt", "Gloves": "Wool Gloves"}
    rows = [
        product(10 * n + at, f"Orvik {said} {at}", ("Clothing", kind))
        for n, (kind, said) in enumerate(kinds.items())
        for at in range(5)
    ]
    rows += [product(90, "Orvik Hooded Hoodie Jacket", ("Clothing", "Hoodies"))]
    rows += [product(91, "Orvik Scarf 7", ("Clothing", "Scarves")), product(92, "Orvik Blue 3", ("Clothing", "Belts"))]
    made = {question.entity: question.fields["options"] for question in of_rows(tmp_path, "product_category", rows)}
    assert "Jackets" not in made["product:P90"] and "Hoodies" in made["product:P90"]
    assert "product:P92" not in made  # nothing says that it is a belt


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    rows = [product(1, "Orvik Blue 3", ("Clothing", "Belts")), product(2, "Orvik Belt", ("Clothing", "Belts"))]
    rows += [product(3, "Anything", ())]
    write_jsonl(tmp_path / "amazon_reviews/raw/review_categories/Home.jsonl", [])
    write_jsonl(tmp_path / "amazon_reviews/raw/meta_categories/meta_Home.jsonl", rows)
    raw = RawData(tmp_path)
    assert not list(load_task("product_category").build(raw, Seeded(0, "product_category")))
    assert raw.lacking == {
        "in no category that says what it is": 1,
        "whose title has no word of its categories": 1,
    }
