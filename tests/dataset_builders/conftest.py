"""A small raw folder in the published formats, invented here so that golden prompts do not move."""

from __future__ import annotations

import itertools
import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import sample_shop
from dataset_builders.published import fetch as fetching
from tests.dataset_builders.file_server import Server
from tests.dataset_builders.raw_files import write_csv, write_json, write_jsonl, write_parquet

_COLOURS = ["Red", "Blue", "Green", "Grey", "White"]
_MATERIALS = ["Oak", "Cotton", "Steel", "Glass"]
_THINGS = ["Bread Board", "Blanket", "Kettle", "Lantern", "Basket", "Curtain"]
_SIZES = ["Small", "Large"]
_TREE = {"Bread Board": "Boards", "Kettle": "Kettles", "Lantern": "Lanterns", "Basket": "Baskets"}
_TREE |= {"Blanket": "Blankets", "Curtain": "Curtains"}
_SENTIMENTS = ["A: very positive", "B: positive", "C: neutral", "D: negative", "E: very negative"]
Thing = tuple[str, str, str, str]
THINGS: list[Thing] = list(itertools.product(_COLOURS, _MATERIALS, _THINGS, _SIZES))  # 240


def english(thing: Thing) -> str:
    colour, material, name, size = thing
    return f"Aldwick {material} {name}, {colour} ({size})"


def _amazon_m2(folder: Path, rng: random.Random) -> None:
    header = [
        "id",
        "locale",
        "title",
        "price",
        "brand",
        "color",
        "size",
        "model",
        "material",
        "author",
        "desc",
    ]
    rows = []
    for number, (colour, material, name, size) in enumerate(THINGS):
        columns = ["Aldwick", colour, size, f"AW-{number}", material, "", "Made to last."]
        titles = {"UK": english(THINGS[number]), "DE": f"Aldwick {name} aus {material}", "JP": f"木の{name}"}
        # The null title and the missing price are published that way.
        titles |= {"FR": ""} if number == 0 else {}
        rows += [[f"B{number:03}", site, title, "" if number else "18.99", *columns] for site, title in titles.items()]
    write_csv(folder / "products_train.csv", [header, *rows])
    sessions = []
    for _ in range(400):
        items = [f"B{number:03}" for number in rng.sample(range(len(THINGS)), 6)]
        sessions.append(["[" + "\n ".join(f"'{item}'" for item in items[1:]) + "]", items[0], "UK"])
    write_csv(folder / "sessions_train.csv", [["prev_items", "next_item", "locale"], *sessions])


def _amazon_reviews(folder: Path, rng: random.Random) -> None:
    for category, ending, things in (("Home", "", THINGS[:120]), ("Toys", ".gz", THINGS[120:])):
        products, reviews = [], []
        for number, thing in enumerate(things):
            product: dict[str, Any] = {
                "parent_asin": f"P{category}{number}",
                "title": english(thing),
                "main_category": category,
            }
            path = ["Home & Kitchen", "Dining" if "o" in thing[2] else "Living", _TREE[thing[2]]]
            product |= {
                "features": [],
                "description": ["Made to last."],
                "price": "from 12.50",
                "store": None,
            }
            details: Any = {"Color": thing[0]}
            product |= {"categories": path, "details": json.dumps(details) if number % 2 else details}
            products.append(product)
            for review in range(6):
                what = rng.choice(["sturdy", "a disappointment", "what I hoped for", "lighter than it looks"])
                text = f"The {thing[2].lower()} number {number}-{review} is {what}.<br />I use it every day."
                row = {"rating": float(rng.randint(1, 5)), "title": what.capitalize(), "text": text}
                row |= {"asin": "A1", "parent_asin": product["parent_asin"], "user_id": f"U{review}"}
                row |= {"timestamp": 1_600_000_000_000 + review, "helpful_vote": rng.randint(0, 40)}
                reviews.append(row | {"verified_purchase": True, "images": []})
        rng.shuffle(reviews)
        write_jsonl(folder / f"raw/review_categories/{category}.jsonl{ending}", reviews)
        write_jsonl(folder / f"raw/meta_categories/meta_{category}.jsonl{ending}", products)


def _ecinstruct(folder: Path, rng: random.Random) -> None:
    rows = []
    for number, thing in enumerate(THINGS):
        base = {"split": "train", "setting": "IND_Diverse_Instruction", "instruction": "Do it."}
        sentiment = {"task": "Sentiment_Analysis", "input": f"I bought number {number} for my sister."}
        sentiment |= {
            "options": json.dumps(_SENTIMENTS),
            "output": _SENTIMENTS[0 if number % 3 else number % 5],
        }
        rows.append(base | sentiment)
        text = {"product title": english(thing), "product brand": f"Aldwick {number}"}
        text["target attributes"] = "Material and Colour and Voltage"
        values = [("material", thing[1].lower()), ("colour", thing[0].lower()), ("voltage", "None")]
        output = [{"attribute": name, "value": value, "source": "product title"} for name, value in values]
        extraction = {
            "task": "Attribute_Value_Extraction",
            "input": json.dumps(text),
            "output": json.dumps(output),
        }
        rows.append(base | extraction)
        rows.append(base | sentiment | {"split": "test"})
        rows.append(base | sentiment | {"setting": "IND_Single_Instruction"})
    write_json(folder / "dataset.json", rows)


def _esci(folder: Path, rng: random.Random) -> None:
    products = []
    for number, thing in enumerate(THINGS):
        long = f"<p>This {english(thing)} is made by hand.</p><ul><li>It lasts for years &amp; years.</li></ul>"
        product: dict[str, Any] = {
            "product_id": f"E{number}",
            "product_title": english(thing),
            "product_description": long,
        }
        product |= {"product_bullet_point": None, "product_brand": "Aldwick", "product_color": thing[0]}
        products.append(product | {"product_locale": "us"})
    products.append(products[0] | {"product_locale": "es", "product_title": "Tabla de pan"})
    write_parquet(folder / "shopping_queries_dataset_products.parquet", products)
    examples: list[dict[str, Any]] = []
    for query in range(150):
        for number in rng.sample(range(len(THINGS)), 8):
            row = {
                "example_id": len(examples),
                "query": f"gift {query}",
                "query_id": query,
                "product_id": f"E{number}",
            }
            row |= {"product_locale": "us", "esci_label": rng.choice("EEESCI"), "split": "train"}
            examples.append(row | {"small_version": 1, "large_version": 1})
    write_parquet(folder / "shopping_queries_dataset_examples.parquet", examples)


def _mmlu_and_alpaca(raw: Path, rng: random.Random) -> None:
    rows = []
    for number in range(200):
        answer = rng.randrange(4)
        choices = [str(number + 1 + place - answer) for place in range(4)]
        rows.append([f"What comes after {number}?", *choices, "ABCD"[answer]])
    write_csv(raw / "mmlu/auxiliary_train.csv", rows)
    write_csv(raw / "mmlu/test/arithmetic_test.csv", rows[:5])
    things = [{"instruction": f"Name {number} colours.", "input": "", "output": "Red."} for number in range(20)]
    things[0]["input"] = "Not blue."
    write_json(raw / "alpaca/alpaca_data_cleaned.json", things)


@pytest.fixture(scope="session")
def tiny_raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw folder with some hundred rows of each source."""
    raw, rng = tmp_path_factory.mktemp("raw"), random.Random(7)
    _amazon_m2(raw / "amazon_m2", rng)
    _amazon_reviews(raw / "amazon_reviews", rng)
    _ecinstruct(raw / "ecinstruct", rng)
    _esci(raw / "esci", rng)
    _mmlu_and_alpaca(raw, rng)
    return raw


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample shop at a fifth of its size."""
    folder = tmp_path_factory.mktemp("shop") / "raw"
    counts = sample_shop.write(folder, scale=0.2)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.*")} == set(counts)
    return folder


@pytest.fixture(scope="session")
def whole_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample shop at its size, for what takes many questions to see."""
    folder = tmp_path_factory.mktemp("whole") / "raw"
    sample_shop.write(folder)
    return folder


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """It is asked directly, whatever proxy there is, and nobody waits before asking again."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fetching, "PAUSES", (0.0, 0.0))
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.go_on.set()
        server.shutdown()
