"""Rows of ESCI for tests, and what the sample shop's rows must come to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dataset_builders.raw import RawData
from dataset_builders.sources import esci
from dataset_builders.task import Question, Seeded, load_task
from tests.dataset_builders.raw_files import write_parquet

_SHORT = [name for name in esci.Product._fields if name not in ("id", "locale")]


@cache
def asked(name: str, folder: Path) -> list[Question]:
    return list(load_task(name).build(RawData(folder), Seeded(0, name)))


@cache
def labels(shop: Path) -> dict[tuple[str, str], str]:
    """(product, query) -> label of the training split."""
    rows = (row for row in esci.examples(RawData(shop)) if row.split == "train")
    return {(row.product_id, row.query.lower()): row.label for row in rows}


@cache
def products(shop: Path) -> dict[str, esci.Product]:
    return {row.id: row for row in esci.products(RawData(shop))}


def judge(
    folder: Path, rows: Iterable[tuple[str, str, str]], columns: Mapping[str, Mapping[str, str]], locale: str = "us"
) -> Path:
    """Writes ESCI's two files: rows of (query, product, label), and columns of products by their short names."""
    rows = list(rows)
    queries = list(dict.fromkeys(query for query, _, _ in rows))
    base = {"product_locale": locale, "split": "train", "small_version": 1, "large_version": 1}
    examples = [
        base
        | {"example_id": at, "query": query, "query_id": queries.index(query), "product_id": id, "esci_label": label}
        for at, (query, id, label) in enumerate(sorted(rows, key=lambda row: queries.index(row[0])))
    ]
    write_parquet(folder / "esci/shopping_queries_dataset_examples.parquet", examples)
    things: list[dict[str, Any]] = [
        {"product_id": id, "product_locale": locale}
        | {f"product_{name}": columns.get(name, {}).get(id) for name in _SHORT}
        for id in dict.fromkeys([id for _, id, _ in rows] + [id for column in columns.values() for id in column])
    ]
    write_parquet(folder / "esci/shopping_queries_dataset_products.parquet", things)
    return folder
