"""ESCI, the Shopping Queries Dataset (Amazon Science): 2.6M judgements of query and product.

https://github.com/amazon-science/esci-data, Apache-2.0.
``esci/shopping_queries_dataset_examples.parquet`` and
``esci/shopping_queries_dataset_products.parquet``, joined on (product_locale, product_id). Rows (invented):

    example_id  query            query_id  product_id  product_locale  esci_label  small_version  ...  split
    17          oak bread board  4         B0EXAMPLE1  us              E           1              ...  train

    product_id  product_title            product_description  product_bullet_point  product_brand  ...
    B0EXAMPLE1  Aldwick Oak Bread Board  <p>Solid oak.</p>    Oiled by hand         Aldwick        ...
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dataset_builders.raw import RawData
from dataset_builders.sources._files import find, known, read, text
from dataset_builders.sources._plain import plain
from spine.raw_rows import RawRow

# Relevance of exact, substitute, complement, irrelevant: the weights of ShopBench's ranking task.
WEIGHTS: Mapping[str, float] = {"E": 1.0, "S": 0.1, "C": 0.01, "I": 0.0}

LOCALES = ("us", "es", "jp")
_LABELS = tuple(WEIGHTS)
_EXAMPLE = ("query", "query_id", "product_id", "product_locale", "esci_label", "split")


class Example(NamedTuple):
    query: str
    query_id: int
    product_id: str
    locale: str  # us, es, jp
    label: str  # E, S, C or I
    split: str  # train or test


class Product(NamedTuple):
    """(locale, id) is the key; absent texts are empty."""

    id: str
    locale: str
    title: str
    description: str
    bullet_point: str  # one a line
    brand: str
    color: str


_KEY = ("product_id", "product_locale")


def examples(raw: RawData, locale: str | None = None, split: str | None = None) -> Iterator[Example]:
    """The judgements, of one site or one split if so asked; those of one query follow each other in the file."""

    def parse(row: RawRow) -> Example | None:
        label, site = known(row["esci_label"], _LABELS), known(row["product_locale"], LOCALES)
        if site != (locale or site) or (split is not None and text(row["split"]) != split):
            return None
        ids = int(row["query_id"]), text(row["product_id"])
        return Example(plain(row["query"]), *ids, site, label, text(row["split"]))

    return read(raw, examples_file(raw), _EXAMPLE, parse, alone=False, without=_others(locale))


def examples_file(raw: RawData) -> Path:
    return find(raw / "esci", "shopping_queries_dataset_examples")


def products(raw: RawData, locale: str | None = None, texts: Sequence[str] = Product._fields[2:]) -> Iterator[Product]:
    """The products of every site, or of one.

    Args:
        texts: those that are wanted; the others are empty, and not even decoded.
    """
    columns = [f"product_{name}" if name in texts else "" for name in Product._fields[2:]]

    def parse(row: RawRow) -> Product | None:
        site = known(row["product_locale"], LOCALES)
        if site != (locale or site):
            return None
        return Product(text(row["product_id"]), site, *[plain(row[column]) if column else "" for column in columns])

    path = find(raw / "esci", "shopping_queries_dataset_products")
    return read(raw, path, (*_KEY, *filter(None, columns)), parse, without=_others(locale))


def _others(locale: str | None) -> dict[str, list[str]]:
    """What the rows of other sites say, which one site's readers pass over."""
    return {"product_locale": [site for site in LOCALES if site != locale]} if locale else {}


def titles(raw: RawData, locale: str) -> Iterator[tuple[str, str]]:
    """(id, title) of one site's products."""
    return ((product.id, product.title) for product in products(raw, locale, ("title",)))
