"""The sample shop's questions: relevance, instructions and exams whose answers follow from the text."""

from __future__ import annotations

import ast
import json
import math
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import sample_shop
from dataset_builders.sample_shop.catalogue import catalogue
from dataset_builders.sample_shop.draws import Draw
from dataset_builders.sample_shop.ecinstruct import TASKS, wordings

# --- ESCI ---
from tests.dataset_builders.raw_files import read_csv


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
            assert len(ast.literal_eval(row["input"])) >= 3 and len(ast.literal_eval(row["options"])) == 20
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

    rows = read_csv(shop / "mmlu/auxiliary_train.csv")
    tests = [read_csv(path) for path in sorted((shop / "mmlu/test").glob("*_test.csv"))]
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
