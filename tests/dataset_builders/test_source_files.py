"""Files read in pieces, and what those that are missing, cut short or broken make the readers say."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builders.raw import RawData
from dataset_builders.sources import _files, alpaca, amazon_m2, amazon_reviews, esci, mmlu
from tests.dataset_builders.raw_files import complaint, put, write_parquet

M2_HEADER = ",".join(amazon_m2.Product._fields)

# The JSON array


def elements(path: Path) -> list[Any]:
    return list(_files.read(RawData(path.parent), path, ["a"], dict))


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(1 - 2**63, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(_JSON, max_size=8), st.integers(1, 5_000), st.booleans(), st.sampled_from([None, 1]))
def test_an_array_is_read_back_whatever_its_size(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any], times: int, ascii: bool, indent: int | None
) -> None:
    path, rows = tmp_path_factory.getbasetemp() / "array.json", [{"a": value} for value in values] * times
    path.write_text(json.dumps(rows, ensure_ascii=ascii, indent=indent), encoding="utf-8")
    assert elements(path) == rows


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('"a"', "row 1: not a JSON array: '[' was expected, not '\"'"),
        ("", "row 1: not a JSON array: '[' was expected, not 'the end of the file'"),
        ('[{"a": 1} 2]', "row 2: not a JSON array: parse error: after array element, I expect ',' or ']'"),
        ('[{"a": 1}, {"a": tru}]', "row 2: not a JSON array: lexical error: invalid string in json text"),
        ('[{"a": 1}, {"a": 1}, {"a": "cut sho', "row 3: not a JSON array: parse error: premature EOF"),
        ('[{"a": 1}, {"a": 1}', "row 3: not a JSON array: parse error: premature EOF"),
        ('[{"a": 1}, {"a": 1},]', "row 3: not a JSON array"),
        ('[{"a": 1}] 2', "row 2: not a JSON array: parse error: trailing garbage"),
        (b'[{"a": "\xff"}]', "row 1: not a JSON array: lexical error: invalid bytes in UTF8 string"),
    ],
)
def test_a_broken_array_is_explained(content: str | bytes, said: str, tmp_path: Path) -> None:
    path = put(tmp_path / "broken.json", content)
    assert said in complaint(lambda: elements(path))


def test_a_byte_order_mark_is_no_harm(tmp_path: Path) -> None:
    put(tmp_path / "alpaca/alpaca_data_cleaned.json", "\ufeff[]")
    assert list(alpaca.instructions(RawData(tmp_path))) == []
    put(tmp_path / "amazon_m2/products_train.csv", f"\ufeff{M2_HEADER}\n")
    assert list(amazon_m2.products(RawData(tmp_path))) == []


# Files that are missing, cut short or broken


def test_a_missing_file_is_named_with_the_way_out(tmp_path: Path) -> None:
    said = complaint(lambda: amazon_m2.products(RawData(tmp_path)))
    assert "no products_train here (.csv, .csv.gz, .parquet" in said and "make fetch-amazon_m2 fills this one" in said
    assert str(tmp_path / "amazon_m2") in said
    assert "without DATA= it is the sample shop" in said
    for rows in (
        alpaca.instructions,
        amazon_m2.sessions,
        amazon_reviews.categories,
        esci.examples,
        mmlu.auxiliary,
        mmlu.exams,
    ):
        assert "make fetch-" in complaint(lambda rows=rows: rows(RawData(tmp_path)))  # type: ignore[misc]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    file = tmp_path / "amazon_m2/products_train.csv"
    put(file, M2_HEADER.replace("brand", "brands") + "\n")
    said = complaint(lambda: amazon_m2.products(RawData(tmp_path)))
    assert "products_train.csv:1: lacks the column 'brand'" in said and "did you mean 'brands'?" in said
    put(file, "")
    assert "lacks the column 'id'" in complaint(lambda: amazon_m2.products(RawData(tmp_path)))
    file.unlink()
    write_parquet(file.with_suffix(".parquet"), [{"id": "B1"}])
    assert "lacks the column 'locale'" in complaint(lambda: amazon_m2.products(RawData(tmp_path)))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("B2,UK", ":3: 2 fields where 11 were expected"),
        ("B2,UK,t,dear,,,,,,,", ".csv:3: could not convert string to float"),
        ('B2,UK,"t,,,,,,,,', ":3: not a well-formed CSV: unexpected end of data"),
        ('B2,UK,"t"s,,,,,,,,', ":3: not a well-formed CSV"),
    ],
)
def test_a_broken_csv_names_the_line(line: str, said: str, tmp_path: Path) -> None:
    put(tmp_path / "amazon_m2/products_train.csv", f"{M2_HEADER}\nB1,UK,t,,,,,,,,\n{line}\n")
    assert said in complaint(lambda: amazon_m2.products(RawData(tmp_path)))


def test_bytes_that_are_not_utf8_name_the_line(tmp_path: Path) -> None:
    rows = f"{M2_HEADER}\nB1,UK,t,,,,,,,,\n".encode() + b"B2,DE,gro\xdf,,,,,,,,\n"
    put(tmp_path / "amazon_m2/products_train.csv", rows)
    assert "products_train.csv:3: not UTF-8" in complaint(lambda: amazon_m2.products(RawData(tmp_path)))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", ":2: not JSON"),
        ("3", "an object was expected"),
        ("[]", "an object was expected"),
        ("{}", "it lacks rating"),
    ],
)
def test_a_broken_line_of_json_is_named(line: str, said: str, tmp_path: Path) -> None:
    put(tmp_path / "amazon_reviews/raw/review_categories/Toys.jsonl", f"\n{line}\n")
    text = complaint(lambda: amazon_reviews.reviews(RawData(tmp_path), "Toys"))
    assert said in text and "Toys.jsonl:2" in text


@pytest.mark.parametrize("damage", ["cut", "flipped", "plain"])
@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.csv.gz", "rows.json.gz"])
def test_a_damaged_gzip_file_is_explained(name: str, damage: str, tmp_path: Path) -> None:
    rows = [{"a": str(number)} for number in range(20_000)]
    as_csv = "a\n" + "\n".join(row["a"] for row in rows)
    as_lines = "\n".join(map(json.dumps, rows))
    data = gzip.compress({"csv": as_csv, "jsonl": as_lines, "json": json.dumps(rows)}[name.split(".")[1]].encode())
    middle = len(data) // 2
    broken = {"cut": data[:middle], "plain": b"not gzip at all"}
    broken["flipped"] = data[:middle] + bytes(255 - byte for byte in data[middle : middle + 50]) + data[middle + 50 :]
    path = tmp_path / name
    path.write_bytes(broken[damage])
    said = complaint(lambda: _files.read(RawData(tmp_path), path, ["a"], lambda row: row["a"]))
    # A flipped bit may also yield other text, which is then no CSV or no JSON.
    assert damage == "flipped" or "fetch it again" in said
    assert name in said


def test_a_damaged_parquet_file_is_explained(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "rows.parquet", [{"a": str(number)} for number in range(1000)])
    path.write_bytes(path.read_bytes()[:-100])
    said = complaint(lambda: _files.read(RawData(tmp_path), path, ["a"], lambda row: row["a"]))
    assert "fetch it again" in said and "rows.parquet, row 1" in said


def test_large_files_are_streamed(tmp_path: Path) -> None:
    """The first row comes before the end of the file is looked at: here the end is not even valid."""
    lines = put(tmp_path / "rows.jsonl", '{"a": 1}\n' * 10 + "{")
    array = put(tmp_path / "rows.json", "[" + '{"a": 1},' * 200_000 + "!")
    for path in (lines, array):
        assert next(_files.read(RawData(tmp_path), path, ["a"], lambda row: row["a"])) == 1
