"""The sample shop: published formats, equal bytes for equal seeds, answers that follow from the text."""

from __future__ import annotations

import ast
import csv
import gzip
import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import sample_shop
from dataset_builders.sample_shop import write
from dataset_builders.sample_shop.amazon_m2 import printed
from dataset_builders.sample_shop.catalogue import LANGUAGES, catalogue
from dataset_builders.sample_shop.draws import Draw
from dataset_builders.sample_shop.ecinstruct import TASKS, wordings
from dataset_builders.sample_shop.words import asin
from recipe.errors import RecipeError

SCALE = 0.2


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop") / "raw"
    counts = write(folder, scale=SCALE)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.*")} == set(counts)
    return folder


def _csv(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def _dicts(path: Path) -> list[dict[str, str]]:
    header, *rows = _csv(path)
    return [dict(zip(header, row, strict=True)) for row in rows]


def _gz(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def _bytes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.*")
    }


def _types_in(title: str, lang: int) -> set[int]:
    """Types whose name stands in a title; the longest, where one name holds another."""
    found = [kind for kind in catalogue().types if kind.names[lang] in title]
    longest = max(len(kind.names[lang]) for kind in found)
    return {kind.index for kind in found if len(kind.names[lang]) == longest}


# --- the folder ---


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write(tmp_path / name, scale=0.05, seed=seed)
    assert _bytes(tmp_path / "a") == _bytes(tmp_path / "b")
    for path in (tmp_path / "a").rglob("*.gz"):
        assert path.read_bytes()[4:8] == bytes(4)  # no time of writing in the header
    others = _bytes(tmp_path / "c")
    assert all(others[name] != digest for name, digest in _bytes(tmp_path / "a").items())


def test_a_row_does_not_depend_on_the_scale(shop: Path, tmp_path: Path) -> None:
    write(tmp_path / "small", scale=0.1)
    small, large = (json.loads((f / "ecinstruct/dataset.json").read_text()) for f in (tmp_path / "small", shop))
    assert large[: len(small)] == small and len(large) == 2 * len(small)


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(RecipeError, match="not an empty folder"):
        write(tmp_path, scale=0.05)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    (tmp_path / "empty").mkdir()
    assert write(tmp_path / "empty", scale=0.05)
    with pytest.raises(RecipeError, match="positive"):
        write(tmp_path / "none", scale=0)


def test_nothing_is_left_behind_after_a_failure(tmp_path: Path) -> None:
    def fail(name: str, done: int, total: int) -> None:
        if name.startswith("esci"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "shop", scale=0.05, progress=fail)
    assert list(tmp_path.iterdir()) == []


def test_progress_ends_at_the_rows_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataset_builders.sample_shop.tables.CHUNK", 50)
    seen: dict[str, list[tuple[int, int]]] = defaultdict(list)
    counts = write(tmp_path / "shop", scale=0.05, progress=lambda name, *now: seen[name].append(now))
    assert {name: calls[-1][0] for name, calls in seen.items()} == counts
    assert len(seen["ecinstruct/dataset.json"]) > 2
    exact = {name: calls[-1][1] for name, calls in seen.items() if "examples" not in name}
    assert exact == {name: rows for name, rows in counts.items() if "examples" not in name}


def test_the_counts_at_scale_one(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sample_shop.Shop(catalogue(), 2024, 1.0)
    assert whole.products == 400 and whole.count(1_500) == 1_500
    assert sum(t.total for t in sample_shop.reviews.tables(whole) if "review_cat" in t.name) == pytest.approx(
        3_000, abs=5
    )


# --- vocabulary and draws ---


def test_the_vocabulary_is_complete() -> None:
    shop = catalogue()
    assert len(shop.types) >= 40
    for kind in shop.types:
        assert len(kind.names) == len(LANGUAGES) and all(kind.names)
        assert len(kind.attributes) >= 3 and len(kind.aspects) >= 4 and kind.goes_with
        assert shop.strangers(kind)
        words = {kind.index, *kind.goes_with}
        assert not words & {other.index for other in shop.strangers(kind)}
    aspects = {aspect for kind in shop.types for aspect in kind.aspects}
    good = {text for aspect in aspects for text in aspect.good}
    assert not good & {text for aspect in aspects for text in aspect.bad}
    for lang in range(len(LANGUAGES)):
        names = [kind.names[lang] for kind in shop.types]
        assert len(set(names)) == len(names), LANGUAGES[lang]


def test_draws_are_even_and_ids_differ() -> None:
    tally = [0] * 10
    for index in range(200):
        draw = Draw(7, "even", index)
        for _ in range(400):  # far past one hash
            tally[draw.below(10)] += 1
    assert max(tally) < 1.05 * 8_000 and min(tally) > 0.95 * 8_000
    assert sorted(Draw(7, "x", 1).shuffled(range(50))) == list(range(50))
    assert len({asin(index) for index in range(20_000)}) == 20_000


# --- Amazon-M2 ---


def test_m2_columns_stand_in_the_title(shop: Path) -> None:
    rows = _dicts(shop / "amazon_m2/products_train.csv")
    columns = "id,locale,title,price,brand,color,size,model,material,author,desc"
    assert list(rows[0]) == columns.split(",")
    for column in ("brand", "color", "size", "material", "author"):
        filled = [row for row in rows if row[column] and (column != "brand" or not row["author"])]
        assert filled and len(filled) < len(rows)  # sometimes null
        assert all(row[column] in row["title"] for row in filled), column
    assert all(float(row["price"]) > 0 for row in rows)


def test_m2_sells_a_product_in_several_languages(shop: Path) -> None:
    sold: dict[str, dict[str, str]] = defaultdict(dict)
    for row in _dicts(shop / "amazon_m2/products_train.csv"):
        sold[row["id"]][row["locale"]] = row["title"]
    languages = {"DE": 1, "JP": 5, "UK": 0, "ES": 2, "FR": 3, "IT": 4}
    for titles in sold.values():
        assert 2 <= len(titles) <= 6
        kinds = [_types_in(title, languages[locale]) for locale, title in titles.items()]
        assert set.intersection(*kinds)  # every translation names the same type


def test_m2_sessions_hold_together(shop: Path) -> None:
    sold: dict[tuple[str, str], str] = {}
    for row in _dicts(shop / "amazon_m2/products_train.csv"):
        sold[row["locale"], row["id"]] = row["title"]
    kinds = {asin(index): catalogue().types[index % len(catalogue().types)] for index in range(200)}
    for row in _dicts(shop / "amazon_m2/sessions_train.csv"):
        before = row["prev_items"].strip("[]").replace("'", "").split()
        assert len(before) >= 2 and all((row["locale"], item) in sold for item in [*before, row["next_item"]])
        first, last = kinds[before[0]], kinds[row["next_item"]]
        near = any(
            last.index in (kind.index, *kind.goes_with)
            for kind in catalogue().types
            if first.index in (kind.index, *kind.goes_with)
        )
        assert near


def test_m2_packs_and_long_sessions() -> None:
    whole = sample_shop.Shop(catalogue(), 2024, 1.0)
    products, sessions = (list(table.rows) for table in sample_shop.amazon_m2.tables(whole))
    british = [row[2] for row in products if row[1] == "UK"]
    assert any("Pack of" in title and title.endswith(" oz") for title in british)
    assert 0.02 < sum("\n " in row[0] for row in sessions) / len(sessions) < 0.5


def test_sessions_are_printed_as_numpy_does() -> None:
    numpy = pytest.importorskip("numpy")
    for count in (1, 2, 5, 6, 11, 30):
        ids = [asin(index) for index in range(count)]
        assert printed(ids) == str(numpy.array(ids))


# --- Amazon Reviews ---


def _reviews(shop: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((shop / "amazon_reviews/raw/review_categories").glob("*.jsonl.gz")):
        yield from _gz(path)


def test_reviews_read_as_their_stars(shop: Path) -> None:
    said: dict[int, set[str]] = defaultdict(set)
    openers = {
        text: stars for kind in catalogue().types for stars, texts in enumerate(kind.openers, 1) for text in texts
    }
    judged = {s: 1 for k in catalogue().types for a in k.aspects for s in a.good}
    judged |= {s: -1 for k in catalogue().types for a in k.aspects for s in a.bad}
    for review in _reviews(shop):
        stars = int(review["rating"])
        opener = [text for text in openers if review["text"].startswith(text)]
        assert {openers[text] for text in opener} == {stars}
        said[stars] |= {sentence for sentence in judged if sentence in review["text"]}
    assert said[5] and said[1] and not said[5] & said[1]
    assert {judged[sentence] for sentence in said[3]} == {1, -1}


def test_helpful_votes_grow_with_length(shop: Path) -> None:
    reviews = list(_reviews(shop))
    short = [r["helpful_vote"] for r in reviews if r["text"].count(". ") <= 2]
    long = [r["helpful_vote"] for r in reviews if r["text"].count(". ") >= 5]
    assert sum(short) / len(short) + 5 < sum(long) / len(long)
    assert all(10**12 < r["timestamp"] < 2 * 10**12 for r in reviews)  # milliseconds


def test_reviews_join_their_products(shop: Path) -> None:
    metas: dict[str, dict[str, Any]] = {}
    for path in (shop / "amazon_reviews/raw/meta_categories").glob("meta_*.jsonl.gz"):
        metas |= {row["parent_asin"]: row for row in _gz(path)}
    assert all(review["parent_asin"] in metas for review in _reviews(shop))
    prices = {type(row["price"]) for row in metas.values()}
    assert prices == {float, str, type(None)}
    assert {type(row["details"]) for row in metas.values()} == {dict, str}  # as published, as on mirrors
    assert any(row["bought_together"] is None for row in metas.values())
    partners = [item for row in metas.values() for item in row["bought_together"] or ()]
    assert partners and all(item in metas for item in partners)


# --- ESCI ---


def test_esci_labels_follow_from_the_words(shop: Path) -> None:
    import polars as pl

    folder = shop / "esci"
    examples = pl.read_parquet(folder / "shopping_queries_dataset_examples.parquet")
    products = pl.read_parquet(folder / "shopping_queries_dataset_products.parquet")
    rows = examples.join(products, on=["product_locale", "product_id"]).to_dicts()
    assert len(rows) == len(examples) and set(examples["product_locale"]) == {"us", "es", "jp"}
    assert examples["example_id"].n_unique() == len(examples)
    for row in rows:
        query, title = row["query"], row["product_title"].lower()
        # A Japanese title writes the material together with 製.
        fits = all(word in title for word in query.split(" "))
        assert fits or row["esci_label"] != "E", row
        assert not fits or row["esci_label"] == "E", row
    per_query = examples.group_by("query_id").len()["len"]
    assert per_query.min() >= 8 and per_query.max() <= 16  # type: ignore[operator]
    assert set(examples["esci_label"]) == set("ESCI")
    assert examples.filter(pl.col("esci_label") == "E")["query_id"].n_unique() == examples["query_id"].n_unique()
    judged_for = examples.group_by("product_id").agg(pl.col("query_id").n_unique())["query_id"]
    assert judged_for.max() == 4  # type: ignore[comparison-overlap]


# --- ECInstruct ---


@pytest.fixture(scope="module")
def instructions(shop: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((shop / "ecinstruct/dataset.json").read_text(encoding="utf-8"))
    return rows


def test_ecinstruct_has_all_tasks_and_forms(instructions: list[dict[str, Any]]) -> None:
    fields = ["split", "task", "setting", "instruction", "input", "options", "output", "few_shot_example"]
    assert all(list(row) == fields for row in instructions)
    assert {row["task"] for row in instructions} == set(TASKS)
    assert {row["split"] for row in instructions} == {"train", "val", "test"}
    assert sum(row["setting"] == "IND_Diverse_Instruction" for row in instructions) > len(instructions) / 2
    assert all(bool(row["few_shot_example"]) == row["setting"].endswith("1-shot") for row in instructions)
    for row in instructions:
        if row["task"] == "Sequential_Recommendation":
            assert len(ast.literal_eval(row["input"])) >= 3 and len(json.loads(row["options"])) == 20
        elif row["task"] != "Sentiment_Analysis":
            assert isinstance(json.loads(row["input"]), dict)


def test_ecinstruct_answers_are_in_the_text(instructions: list[dict[str, Any]]) -> None:
    for row in instructions:
        if row["task"] == "Attribute_Value_Extraction":
            texts = json.loads(row["input"])
            for found in json.loads(row["output"]):
                silent = found["value"] == found["source"] == "None"
                assert silent or found["value"] in texts[found["source"]].lower()
        elif row["task"] == "Answer_Generation":
            assert row["output"] in json.loads(row["input"])["document"]
        elif row["task"] == "Query_Product_Ranking":
            listed = json.loads(row["input"])["product list"]
            assert sorted(row["output"].split(",")) == [line[0] for line in listed]
        elif row["task"] == "Sentiment_Analysis":
            assert row["output"] in wordings()["sentiments"] and row["output"] in json.loads(row["options"])


def test_product_matching_leaves_gaps_as_pandas_does(shop: Path, tmp_path: Path) -> None:
    draws = (Draw(3, "matching", index) for index in range(60))
    whole = sample_shop.Shop(catalogue(), 3, 1.0)
    pairs = [json.loads(TASKS["Product_Matching"](whole, draw).input)["product 2"] for draw in draws]
    assert any(isinstance(pair["description"], float) and math.isnan(pair["description"]) for pair in pairs)
    assert any(pair["manufacturer"] == "nan" for pair in pairs)


# --- MMLU and Alpaca ---


def test_exam_answers_are_right(shop: Path) -> None:
    from dataset_builders.sample_shop.exam import knowledge

    rows = _csv(shop / "mmlu/auxiliary_train.csv")
    tests = [_csv(path) for path in sorted((shop / "mmlu/test").glob("*_test.csv"))]
    assert len(tests) >= 4
    for row in rows + [row for test in tests for row in test]:
        assert len(row) == 6 and row[5] in "ABCD" and len(set(row[1:5])) == 4 and all(row)
    assert any("\n" in row[0] for row in rows)
    assert len({row[5] for row in rows}) == 4
    capitals = {f"What is the capital of {place[0]}?": place[1] for place in knowledge()["capitals"]}
    asked = [row for row in rows + tests[-2] + tests[2] if row[0] in capitals]
    assert asked and all(row[1 + "ABCD".index(row[5])] == capitals[row[0]] for row in asked)
    for row in rows:
        words = row[0].split()
        if row[0].startswith("A shop had"):
            assert int(row[1 + "ABCD".index(row[5])]) == int(words[3]) - int(words[8])


def test_alpaca_answers_are_right(shop: Path) -> None:
    rows = json.loads((shop / "alpaca/alpaca_data_cleaned.json").read_text(encoding="utf-8"))
    assert all(list(row) == ["instruction", "input", "output"] for row in rows)
    assert {bool(row["input"]) for row in rows} == {True, False} and all(row["output"] for row in rows)
    for row in rows:
        if "upper case" in row["instruction"]:
            assert row["output"] == row["input"].upper()
        if "ount the words" in row["instruction"]:
            assert int(row["output"]) == len(row["input"].split())
        if " plus " in row["instruction"]:
            left, right = row["instruction"].removeprefix("What is ").rstrip("?").split(" plus ")
            assert int(row["output"]) == int(left) + int(right)
