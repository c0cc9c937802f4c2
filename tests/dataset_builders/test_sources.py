"""The readers: the published forms and their quirks, mirrors included."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builders.raw import RawData
from dataset_builders.sources import alpaca, amazon_m2, amazon_reviews, ecinstruct, esci, mmlu
from inference.answering.questions import read_questions
from tests.dataset_builders.raw_files import complaint, put, write_parquet

M2_HEADER = ",".join(amazon_m2.Product._fields)


# The forms as published


def test_m2_products_as_csv_and_parquet(tmp_path: Path) -> None:
    row = 'B1,UK,"Board, ""large""",18.99,Aldwick,,Large,AW,Oak,,"Two\nlines."'
    put(tmp_path / "csv/amazon_m2/products_train.csv", f"{M2_HEADER}\n{row}\nB2,JP,,,,,,,,,\n")
    first, second = amazon_m2.products(RawData(tmp_path / "csv"))
    assert first.title == 'Board, "large"' and first.price == 18.99 and first.desc == "Two\nlines."
    assert second.title == "" and second.price is None and second.locale == "JP"
    raw = tmp_path / "parquet"
    write_parquet(raw / "amazon_m2/products_train.parquet", [{**first._asdict(), "color": None}])
    assert list(amazon_m2.products(RawData(raw))) == [first]


def test_m2_sessions_as_printed_arrays_and_lists(tmp_path: Path) -> None:
    printed = "\"['B1' 'B2'\n 'B3']\",B4,UK\n['B5'],B6,DE\n"
    put(tmp_path / "csv/amazon_m2/sessions_train.csv.gz", "prev_items,next_item,locale\n" + printed)
    sessions = list(amazon_m2.sessions(RawData(tmp_path / "csv")))
    assert sessions == [(("B1", "B2", "B3"), "B4", "UK"), (("B5",), "B6", "DE")]
    raw = tmp_path / "parquet"
    write_parquet(raw / "amazon_m2/sessions_train.parquet", [row._asdict() for row in sessions])
    assert list(amazon_m2.sessions(RawData(raw))) == sessions


_IDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="\\"), min_size=1)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(_IDS.filter(lambda item: not ("'" in item and '"' in item)), max_size=40))
def test_a_printed_array_is_read_back(items: list[str]) -> None:
    assert amazon_m2.printed_array(str(np.array(items, dtype=object))) == tuple(items)
    assert amazon_m2.printed_array(str(items)) == tuple(items)


@pytest.mark.parametrize("printed", ["", "nan", "B1 B2", "['B1' ... 'B9']", "['B1'", "['B1' B2]", "[['B1']]"])
def test_what_is_no_printed_array_is_refused(printed: str) -> None:
    with pytest.raises(ValueError, match="not a printed array"):
        amazon_m2.printed_array(printed)


META: dict[str, Any] = {
    "main_category": None,
    "title": "Tray",
    "features": [],
    "description": ["Soft."],
    "price": None,
}
META |= {"store": None, "categories": ["Home", "Trays"], "parent_asin": "P1"}


@pytest.mark.parametrize(
    ("published", "price"),
    [
        (None, None),
        (17.99, 17.99),
        (3, 3.0),
        ("$1,299.00", 1299.0),
        ("from 12.50", 12.5),
        ("None", None),
        ("—", None),
    ],
)
def test_prices_of_reviewed_products(published: object, price: float | None, tmp_path: Path) -> None:
    file = tmp_path / "amazon_reviews/raw/meta_categories/meta_Home.jsonl"
    put(file, json.dumps(META | {"price": published}))
    (product,) = amazon_reviews.products(RawData(tmp_path), "Home")
    assert product.price == price


def test_reviewed_products(tmp_path: Path) -> None:
    rows = [
        META | {"details": {"Color": "Red"}},
        META | {"details": '{"Color": "Red"}', "description": "Soft."},
    ]
    rows += [META | {"details": None, "features": None}]
    file = tmp_path / "amazon_reviews/raw/meta_categories/meta_Home.jsonl.gz"
    put(file, "\n".join(map(json.dumps, rows)) + "\n\n")
    first, second, third = amazon_reviews.products(RawData(tmp_path), "Home")
    assert first == second and first.description == ("Soft.",) and first.details == {"Color": "Red"}
    assert third.details == {} and third.features == () and third.store == ""


def test_reviews_by_category(tmp_path: Path) -> None:
    review = {
        "rating": 4.0,
        "title": "Good",
        "text": "Fits.",
        "asin": "A1",
        "parent_asin": "P1",
        "user_id": "U1",
    }
    review |= {"timestamp": 1_600_000_000_000, "helpful_vote": 2, "verified_purchase": True, "images": []}
    folder = tmp_path / "amazon_reviews/raw/review_categories"
    put(folder / "Toys.jsonl.gz", json.dumps(review))
    put(folder / "Books.jsonl", json.dumps(review | {"helpful_vote": None}))
    assert amazon_reviews.categories(RawData(tmp_path)) == ["Books", "Toys"]
    raw = RawData(tmp_path)
    (toy,), (book,) = amazon_reviews.reviews(raw, "Toys"), amazon_reviews.reviews(raw, "Books")
    assert (toy.rating, toy.helpful_vote, book.helpful_vote) == (4, 2, 0)


EC: dict[str, Any] = {
    "split": "train",
    "setting": "IND_Diverse_Instruction",
    "instruction": "Do it.",
    "few_shot_example": None,
}


def test_ecinstruct(tmp_path: Path) -> None:
    output = '[{"attribute": "material", "value": "oak", "source": "product title"}]'
    rows = [
        EC
        | {
            "task": "Sentiment_Analysis",
            "input": "{Fine}",
            "options": '["A: good", "B: bad"]',
            "output": "A: good",
        },
        EC | {"task": "Sequential_Recommendation", "input": "['it\\'s', 'b']", "options": None, "output": "B"},
        EC | {"task": "Attribute_Value_Extraction", "input": '{"product title": "Oak"}', "output": output},
    ]
    rows += [rows[0] | {"split": "test"}, rows[0] | {"setting": "IND_Single_Instruction"}]
    put(tmp_path / "ecinstruct/dataset.json", json.dumps(rows, indent=2))
    (sentiment,) = ecinstruct.examples(RawData(tmp_path), "Sentiment_Analysis")
    assert sentiment.input == "{Fine}" and sentiment.options == ("A: good", "B: bad") and sentiment.values == ()
    (sequence,) = ecinstruct.examples(RawData(tmp_path), "Sequential_Recommendation")
    assert sequence.input == ["it's", "b"] and sequence.options == ()
    (extraction,) = ecinstruct.examples(RawData(tmp_path), "Attribute_Value_Extraction")
    assert extraction.input == {"product title": "Oak"}
    assert extraction.values == (("material", "oak", "product title"),)


@pytest.mark.parametrize(
    ("task", "broken"),
    [
        ("Sequential_Recommendation", {"input": "['a'"}),
        ("Attribute_Value_Extraction", {"input": "[1]", "output": "[]"}),
        ("Attribute_Value_Extraction", {"input": "{}", "output": '[{"value": "oak"}]'}),
        ("Product_Matching", {"input": "{", "output": "yes"}),
    ],
)
def test_ecinstruct_names_the_broken_row(task: ecinstruct.TaskName, broken: dict[str, str], tmp_path: Path) -> None:
    other = EC | {"task": "Other", "input": "", "output": ""}
    put(tmp_path / "ecinstruct/dataset.json", json.dumps([other, EC | {"task": task, "output": ""} | broken]))
    assert "dataset.json, row 2: " in complaint(lambda: ecinstruct.examples(RawData(tmp_path), task))


def test_esci(tmp_path: Path) -> None:
    product = {
        "product_id": "E1",
        "product_title": "Board",
        "product_description": None,
        "product_locale": "us",
    }
    product |= {"product_bullet_point": "Oiled", "product_brand": "Aldwick", "product_color": None}
    products = [product, product | {"product_locale": "es", "product_title": "Tabla"}]
    write_parquet(tmp_path / "esci/shopping_queries_dataset_products.parquet", products)
    assert [row.title for row in esci.products(RawData(tmp_path))] == ["Board", "Tabla"]
    assert next(iter(esci.products(RawData(tmp_path)))) == ("E1", "us", "Board", "", "Oiled", "Aldwick", "")
    assert list(esci.titles(RawData(tmp_path), "es")) == [("E1", "Tabla")]
    example = {"query": "board", "query_id": 4, "product_id": "E1", "product_locale": "us", "split": "train"}
    file = tmp_path / "esci/shopping_queries_dataset_examples.parquet"
    write_parquet(file, [example | {"esci_label": "E"}])
    assert list(esci.examples(RawData(tmp_path))) == [("board", 4, "E1", "us", "E", "train")]
    write_parquet(file, [example | {"esci_label": "E"}, example | {"esci_label": "X"}])
    assert "row 2" in complaint(lambda: esci.examples(RawData(tmp_path)))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(("us", "es", "jp", "fr")), st.sampled_from("ESX")), min_size=1, max_size=400))
def test_esci_of_one_site_is_esci_of_all_without_the_others(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[tuple[str, str]]
) -> None:
    """Rows of other sites are not decoded; those that remain keep their number in the file."""
    folder = tmp_path_factory.mktemp("esci")
    rows = [
        {"query": f"board {at}", "query_id": at, "product_id": f"E{at}", "product_locale": site, "esci_label": label,
         "split": "train"} for at, (site, label) in enumerate(kinds)
    ]  # fmt: skip
    write_parquet(folder / "esci/shopping_queries_dataset_examples.parquet", rows)
    every = RawData(folder, max_rejected=1.0)
    found = [row for row in esci.examples(every) if row.locale == "es"]
    one = RawData(folder, max_rejected=1.0)
    assert list(esci.examples(one, "es")) == found
    broken = [at + 1 for at, (site, label) in enumerate(kinds) if site == "fr" or (label == "X" and site == "es")]
    assert [int(place.rpartition(" ")[2]) for place in one.rejected] == broken


@pytest.mark.parametrize("kind", ["string", "large_string", "dictionary"])
def test_esci_of_one_site_whatever_kind_of_column_names_it(kind: str, tmp_path: Path) -> None:
    import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
    import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]

    table = pa.table({f"product_{name}": ["a", "b"] for name in esci.Product._fields if name != "locale"})
    text = pa.string()
    types = {"string": text, "large_string": pa.large_string(), "dictionary": pa.dictionary(pa.int32(), text)}
    table = table.append_column("product_locale", pa.array(["us", "es"]).cast(types[kind]))
    (tmp_path / "esci").mkdir()
    pq.write_table(table, tmp_path / "esci/shopping_queries_dataset_products.parquet")
    assert list(esci.titles(RawData(tmp_path), "es")) == [("b", "b")]


def test_a_site_that_is_a_number_is_told_row_by_row(tmp_path: Path) -> None:
    row = dict.fromkeys((f"product_{name}" for name in esci.Product._fields), "text") | {"product_locale": 7}
    write_parquet(tmp_path / "esci/shopping_queries_dataset_products.parquet", [row])
    assert "row 1: a text was expected, not 7" in complaint(lambda: esci.titles(RawData(tmp_path), "us"))


def test_texts_that_are_not_wanted_are_not_read(tmp_path: Path) -> None:
    row = dict.fromkeys((f"product_{name}" for name in esci.Product._fields), "text") | {"product_locale": "us"}
    write_parquet(tmp_path / "esci/shopping_queries_dataset_products.parquet", [row])
    assert list(esci.products(RawData(tmp_path), "us", ("brand",))) == [("text", "us", "", "", "", "text", "")]
    write_parquet(tmp_path / "esci/shopping_queries_dataset_products.parquet", [row | {"product_description": 3}])
    assert list(esci.titles(RawData(tmp_path), "us")) == [("text", "text")]
    assert "a text was expected" in complaint(lambda: esci.products(RawData(tmp_path, max_rejected=0.0), "us"))


@pytest.mark.parametrize("ending", ["csv", "csv with header", "parquet"])
def test_mmlu_in_its_three_forms(ending: str, tmp_path: Path) -> None:
    file = tmp_path / "mmlu/auxiliary_train"
    choices = ["a nail", "a cork, dry", "a coin", "a brick"]
    if ending == "parquet":
        row = {"question": "What floats?", "subject": "", "choices": choices, "answer": 1}
        write_parquet(file.with_suffix(".parquet"), [row])
    else:
        header = "question,choice0,choice1,choice2,choice3,answer\n" if "header" in ending else ""
        answer = "1" if header else "B"
        put(file.with_suffix(".csv"), f'{header}What floats?,a nail,"a cork, dry",a coin,a brick,{answer}\n')
    assert list(mmlu.auxiliary(RawData(tmp_path))) == [("What floats?", tuple(choices), 1, "auxiliary_train")]


def test_mmlu_test_subjects(tmp_path: Path) -> None:
    put(tmp_path / "mmlu/test/astronomy_test.csv", "Why?,a,b,c,d,D\n")
    put(tmp_path / "mmlu/test/anatomy_test.csv", "Who?,a,b,c,d,A\n")
    assert [(item.subject, item.answer) for item in mmlu.exams(RawData(tmp_path))] == [("anatomy", 0), ("astronomy", 3)]
    put(tmp_path / "mmlu/test/anatomy_test.csv", "Who?,a,b,c,d,E\n")
    assert "anatomy_test.csv:1" in complaint(lambda: mmlu.exams(RawData(tmp_path)))


def test_mmlu_as_its_archive_unpacks(tmp_path: Path) -> None:
    """``data.tar``: headerless files in four folders, beside them texts."""
    data = tmp_path / "mmlu" / "data"
    for name in ("auxiliary_train/arc_easy", "auxiliary_train/race", "dev/virology_dev", "val/virology_val"):
        put(data / f"{name}.csv", "Why?,a,b,c,d,D\n")
    put(data / "test/virology_test.csv", "Why?,a,b,c,d,D\n")
    put(data / "possibly_contaminated_urls.txt", "https://example.org\n")
    put(data / "auxiliary_train/README.txt", "ARC, RACE\n")
    assert [item.subject for item in mmlu.auxiliary(RawData(tmp_path))] == ["arc_easy", "race"]
    assert len(list(mmlu.exams(RawData(tmp_path)))) == 3
    assert {question.task for question in read_questions(data / "test")} == {"virology"}


def test_products_without_a_category_path_are_remarked_on(tmp_path: Path) -> None:
    folder = tmp_path / "amazon_reviews" / "raw"
    put(folder / "review_categories" / "All_Beauty.jsonl", "")
    row = {
        "parent_asin": "B0EXAMPLE1",
        "title": "A comb",
        "features": [],
        "description": [],
        "price": None,
        "store": "",
    }
    for categories, remarked in ([], True), (["Beauty", "Combs"], False):
        put(folder / "meta_categories" / "meta_All_Beauty.jsonl", json.dumps(row | {"categories": categories}))
        raw = RawData(tmp_path)
        assert len(list(amazon_reviews.products(raw, "All_Beauty"))) == 1
        assert list(raw.remarks) == ["no product of meta_All_Beauty has a category path"] * remarked


def test_alpaca(tmp_path: Path) -> None:
    file = put(tmp_path / "alpaca/alpaca_data_cleaned.json", '[{"instruction": " Hi ", "input": "", "output": "Ho"}]')
    assert list(alpaca.instructions(RawData(tmp_path))) == [("Hi", "", "Ho")]
    put(file, '[{"instruction": "Hi", "output": "Ho"}]')
    assert "row 1: it lacks input" in complaint(lambda: alpaca.instructions(RawData(tmp_path)))
