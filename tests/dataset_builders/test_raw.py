"""Rows that cannot be read: left out, named, and too many of them refused; giant files read as an even sample."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset_builders.raw import RawData
from dataset_builders.sources import alpaca, amazon_m2, amazon_reviews, ecinstruct, esci, mmlu
from dataset_builders.sources._plain import plain
from spine.errors import RecipeError
from tests.dataset_builders.raw_files import put, write_jsonl, write_parquet

HEADER = ",".join(amazon_m2.Product._fields)
GOOD = "B1,UK,Board,,,,,,,,"
REVIEW = {
    "rating": 4, "title": "t", "text": "x", "asin": "A", "parent_asin": "P", "user_id": "U", "timestamp": 1,
    "helpful_vote": 0,
}  # fmt: skip


def products(folder: Path, lines: list[str | bytes], share: float = 0.5) -> tuple[list[str], dict[str, str]]:
    """Ids that were read, and what was rejected."""
    rows = b"\n".join(line.encode() if isinstance(line, str) else line for line in [HEADER, *lines])
    put(folder / "amazon_m2/products_train.csv", rows + b"\n")
    raw = RawData(folder, max_rejected=share)
    return [row.id for row in amazon_m2.products(raw)], raw.rejected


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("B2,XX,t,,,,,,,,", "'XX' is none of DE, JP"),
        ("B2,UK,t,dear,,,,,,,", "could not convert"),
        ("B2,UK", "2 fields where 11 were expected"),
        ('B2,UK,"t"s,,,,,,,,', "not a well-formed CSV"),
        (b"B2,DE,gro\xdf,,,,,,,,", "not UTF-8"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_read(line: str | bytes, said: str, tmp_path: Path) -> None:
    ids, rejected = products(tmp_path, [GOOD, line, GOOD.replace("B1", "B3")])
    ((place, problem),) = rejected.items()
    assert ids == ["B1", "B3"] and place.endswith("products_train.csv:3") and said in problem


def test_a_quote_that_is_never_closed_costs_all_the_lines_it_swallows(tmp_path: Path) -> None:
    lines = ['B2,UK,"t,,,,,,,,', *[GOOD] * 6]
    with pytest.raises(RecipeError, match="7 of 9 rows cannot be read"):
        products(tmp_path, [GOOD, GOOD, *lines])


def test_more_bad_rows_than_allowed_stop_the_build_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        products(tmp_path, [GOOD] * 97 + ["B2,XX,t,,,,,,,,"] * 3, share=0.02)
    said = str(caught.value)
    assert "3 of 100 rows cannot be read; 2.0% may be left out" in said
    assert "products_train.csv:99: 'XX' is none of" in said and 'SET="max_rejected=0.04"' in said
    assert len(products(tmp_path, [GOOD] * 97 + ["B2,XX,t,,,,,,,,"] * 3, share=0.03)[1]) == 3


def test_a_bad_file_stops_the_build_long_before_its_end(tmp_path: Path) -> None:
    put(tmp_path / "amazon_reviews/raw/review_categories/Toys.jsonl", "nonsense\n" * 200_000)
    raw = RawData(tmp_path)
    with pytest.raises(RecipeError, match="101 of the first 101 rows cannot be read"):
        list(amazon_reviews.reviews(raw, "Toys"))
    assert len(raw.rejected) < 200


def test_invalid_bytes_in_a_line_of_json_are_that_lines_trouble(tmp_path: Path) -> None:
    line = json.dumps(REVIEW).encode()
    put(tmp_path / "amazon_reviews/raw/review_categories/Toys.jsonl", b"\n".join([line, b'{"text": "\xff"}', line]))
    raw = RawData(tmp_path, max_rejected=0.5)
    assert len(list(amazon_reviews.reviews(raw, "Toys"))) == 2
    assert "not UTF-8" in next(iter(raw.rejected.values()))


def test_a_giant_file_is_read_as_an_even_sample_of_whole_products(tmp_path: Path) -> None:
    reviews = [REVIEW | {"parent_asin": f"P{number % 500}", "user_id": f"U{number}"} for number in range(5_000)]
    meta = [{"parent_asin": f"P{number}", "title": "t", "main_category": "", "categories": [], "features": [],
             "description": [], "price": None, "store": None} for number in range(500)]  # fmt: skip
    write_jsonl(tmp_path / "amazon_reviews/raw/review_categories/Toys.jsonl", reviews)
    write_jsonl(tmp_path / "amazon_reviews/raw/meta_categories/meta_Toys.jsonl", meta)
    size = (tmp_path / "amazon_reviews/raw/review_categories/Toys.jsonl").stat().st_size
    raw = RawData(tmp_path, most_bytes=size // 5)
    kept = {product.parent_asin for product in amazon_reviews.products(raw, "Toys")}
    read = [review.parent_asin for review in amazon_reviews.reviews(raw, "Toys")]
    assert 60 < len(kept) < 140
    assert set(read) == kept and len(read) == 10 * len(kept)  # all reviews of every product that is kept
    assert len(list(amazon_reviews.products(RawData(tmp_path), "Toys"))) == 500


# Whatever a file holds: rows, rejected rows, or one explained error; never another exception, never a wrong row.

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_FUZZ = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
Reader = Callable[[RawData], Iterator[Any]]


def rows_of(folder: Path, read: Reader) -> list[Any]:
    try:
        return list(read(RawData(folder, max_rejected=1.0)))
    except RecipeError:
        return []


def mangled(row: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The row with some of its values replaced by anything, or taken out."""
    broken = st.dictionaries(st.sampled_from(sorted(row)), _JSON, max_size=3)
    missing = st.sets(st.sampled_from(sorted(row)), max_size=2)
    return st.builds(lambda new, out: {k: v for k, v in (row | new).items() if k not in out}, broken, missing)


@_FUZZ
@given(st.lists(mangled(REVIEW), max_size=4))
def test_mangled_reviews(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    write_jsonl(tmp_path / "amazon_reviews/raw/review_categories/Toys.jsonl", rows)
    for review in rows_of(tmp_path, lambda raw: amazon_reviews.reviews(raw, "Toys")):
        assert isinstance(review.rating, int) and isinstance(review.text, str) and isinstance(review.helpful_vote, int)


_META = {"parent_asin": "P", "title": "t", "main_category": "m", "categories": ["a"], "features": ["f"], "price": "1",
         "description": ["d"], "store": "s", "details": {"Color": "Red"}, "bought_together": None}  # fmt: skip


@_FUZZ
@given(st.lists(mangled(_META), max_size=4))
def test_mangled_products(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    write_jsonl(tmp_path / "amazon_reviews/raw/meta_categories/meta_Toys.jsonl", rows)
    for product in rows_of(tmp_path, lambda raw: amazon_reviews.products(raw, "Toys")):
        assert isinstance(product.details, dict) and all(isinstance(part, str) for part in product.categories)


_EC = {"split": "train", "setting": "IND_Diverse_Instruction", "instruction": "i", "options": '["A: x"]',
       "input": '{"query": "q"}', "output": "A"}  # fmt: skip


@_FUZZ
@given(st.sampled_from(["Product_Matching", "Sequential_Recommendation", "Attribute_Value_Extraction"]), st.data())
def test_mangled_ecinstruct(tmp_path: Path, task: ecinstruct.TaskName, data: st.DataObject) -> None:
    rows = data.draw(st.lists(mangled(_EC | {"task": task}), max_size=4))
    put(tmp_path / "ecinstruct/dataset.json", json.dumps(rows))
    for example in rows_of(tmp_path, lambda raw: ecinstruct.examples(raw, task)):
        assert all(isinstance(option, str) for option in example.options) and isinstance(example.output, str)


@_FUZZ
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_as_csv(tmp_path: Path, content: bytes, headed: bool) -> None:
    put(tmp_path / "amazon_m2/products_train.csv", (HEADER.encode() + b"\n" if headed else b"") + content)
    put(tmp_path / "mmlu/auxiliary_train.csv", content)
    for row in rows_of(tmp_path, amazon_m2.products):
        assert row.locale in amazon_m2.LOCALES and isinstance(row.title, str)
    for item in rows_of(tmp_path, mmlu.auxiliary):
        assert len(item.choices) == 4 and item.answer in range(4)


@_FUZZ
@given(st.binary(max_size=300))
def test_any_bytes_as_json_gzip_and_parquet(tmp_path: Path, content: bytes) -> None:
    put(tmp_path / "alpaca/alpaca_data_cleaned.json", b"[" + content)
    (tmp_path / "ecinstruct").mkdir(exist_ok=True)
    (tmp_path / "ecinstruct/dataset.json.gz").write_bytes(content)
    put(tmp_path / "esci/shopping_queries_dataset_examples.parquet", content)
    assert all(isinstance(row.output, str) for row in rows_of(tmp_path, alpaca.instructions))
    assert rows_of(tmp_path, lambda raw: ecinstruct.examples(raw, "Product_Matching")) == []
    assert rows_of(tmp_path, esci.examples) == []


_CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@_FUZZ
@given(st.lists(st.lists(_CELL, min_size=9, max_size=9), max_size=5))
def test_any_text_that_is_written_as_csv_is_read_back(tmp_path: Path, cells: list[list[str]]) -> None:
    out = io.StringIO()
    rows = [["B1", "UK", title, "", *rest] for title, *rest in (row[:8] for row in cells)]
    csv.writer(out).writerows(rows)
    put(tmp_path / "amazon_m2/products_train.csv", f"{HEADER}\n{out.getvalue()}")
    found = list(amazon_m2.products(RawData(tmp_path)))
    assert [row.title for row in found] == [plain(row[2]) for row in rows]


def test_parquet_with_nulls_and_other_types(tmp_path: Path) -> None:
    row = {"product_id": "E1", "product_title": None, "product_description": None, "product_bullet_point": None,
           "product_brand": None, "product_color": None, "product_locale": "us"}  # fmt: skip
    file = tmp_path / "esci/shopping_queries_dataset_products.parquet"
    write_parquet(file, [row, row | {"product_locale": "fr"}, row | {"product_locale": None}])
    raw = RawData(tmp_path, max_rejected=1.0)
    assert [product.title for product in esci.products(raw)] == [""] and len(raw.rejected) == 2
