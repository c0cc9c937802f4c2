"""Amazon-M2 (KDD Cup 2023): products and shopping sessions of six Amazon sites.

https://www.aicrowd.com/challenges/amazon-kdd-cup-23-multilingual-recommendation-challenge, the challenge's rules.
``amazon_m2/products_train.csv`` and ``amazon_m2/sessions_train.csv``; Parquet mirrors are read too. In
the CSV ``prev_items`` is a printed numpy array: no commas, over several lines when long. Rows (invented):

    id,locale,title,price,brand,color,size,model,material,author,desc
    B0EXAMPLE1,UK,"Aldwick Oak Bread Board, Large",18.99,Aldwick,Brown,Large,AW-12,Oak,,"Solid oak, oiled."

    prev_items,next_item,locale
    "['B0EXAMPLE1' 'B0EXAMPLE2']",B0EXAMPLE3,UK
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from dataset_builders.raw import RawData
from dataset_builders.sources._files import find, known, read, text
from dataset_builders.sources._plain import plain
from spine.raw_rows import RawRow

LOCALES = ("DE", "JP", "UK", "ES", "FR", "IT")
# The quoted items of a printed array; commas are let pass because lists are printed with them.
_ITEM = r"'[^'\\]*'|\"[^\"\\]*\""
_ARRAY = re.compile(rf"\[(?:[\s,]*(?:{_ITEM}))*[\s,]*\]")


class Product(NamedTuple):
    """(locale, id) is the key: the same id on two sites is the same product. Absent texts are empty."""

    id: str
    locale: str  # DE, JP, UK, ES, FR, IT
    title: str
    price: float | None  # in the site's currency
    brand: str
    color: str
    size: str
    model: str
    material: str
    author: str
    desc: str


class Session(NamedTuple):
    """Products that one customer looked at in this order, and the next one."""

    prev_items: tuple[str, ...]
    next_item: str
    locale: str


def products(raw: RawData) -> Iterator[Product]:
    """Every product of every site."""
    path = find(raw / "amazon_m2", "products_train")
    return read(raw, path, Product._fields, _product)


def sessions(raw: RawData) -> Iterator[Session]:
    """Every training session."""
    path = find(raw / "amazon_m2", "sessions_train")
    return read(raw, path, Session._fields, _session)


def printed_array(printed: str) -> tuple[str, ...]:
    """``"['a' 'b']"`` -> ``("a", "b")``.

    Raises:
        ValueError: it is something else, or numpy left items out (``...``).
    """
    if not _ARRAY.fullmatch(printed.strip()):
        raise ValueError(f"not a printed array of texts: {printed[:60]!r}")
    return tuple(item[1:-1] for item in re.findall(_ITEM, printed))


def _product(row: RawRow) -> Product:
    id, locale = text(row["id"]), known(row["locale"], LOCALES)
    texts = {field: plain(row[field]) for field in Product._fields if field not in ("id", "locale", "price")}
    return Product(id=id, locale=locale, price=_price(row["price"]), **texts)


def _price(value: Any) -> float | None:
    return None if value is None or value == "" else float(value)


def _session(row: RawRow) -> Session:
    items = row["prev_items"]
    items = printed_array(items) if isinstance(items, str) else tuple(text(item) for item in items)
    return Session(items, text(row["next_item"]), known(row["locale"], LOCALES))
