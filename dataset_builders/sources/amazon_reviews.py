"""Amazon Reviews 2023 (McAuley Lab): 571M reviews of 48M products in 33 categories.

https://amazon-reviews-2023.github.io, no licence stated. One pair of files a category, plain or ``.gz``:
``amazon_reviews/raw/review_categories/{Cat}.jsonl`` and
``amazon_reviews/raw/meta_categories/meta_{Cat}.jsonl``, joined on ``parent_asin``. Rows (invented):

    {"rating": 4.0, "title": "Sturdy", "text": "Holds my whole cutlery.", "asin": "B0EXAMPLE4",
     "parent_asin": "B0EXAMPLE1", "user_id": "AE7X", "timestamp": 1620000000000, "helpful_vote": 2, ...}

    {"main_category": "Amazon Home", "title": "Bamboo Drawer Tray", "average_rating": 4.4,
     "rating_number": 31, "features": ["5 compartments"], "description": [], "price": "17.99", "store":
     "Fernhill", "categories": ["Home & Kitchen", "Storage", "Drawer Trays"], "details": {}, ...}
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from dataset_builders.raw import RawData
from dataset_builders.sources._files import find, find_all, read, text
from dataset_builders.sources._plain import plain
from spine.raw_rows import RawRow

_REVIEWS, _META = "amazon_reviews/raw/review_categories", "amazon_reviews/raw/meta_categories"
_REVIEW = ("rating", "title", "text", "asin", "parent_asin", "user_id", "timestamp", "helpful_vote")
_PRODUCT = ("parent_asin", "title", "categories", "features", "description", "price", "store")
_SOME = ("details", "bought_together")  # not in every mirror


class Review(NamedTuple):
    rating: int  # 1 to 5 stars
    title: str
    text: str
    asin: str
    parent_asin: str
    user_id: str
    timestamp: int  # milliseconds since 1970
    helpful_vote: int

    @property
    def key(self) -> str:
        """Which of the reviews of its product this is."""
        return f"{self.user_id}:{self.timestamp}"


class Product(NamedTuple):
    """``categories`` goes from the department down to the leaf; it may be empty, as may every text."""

    parent_asin: str
    title: str
    categories: tuple[str, ...]
    features: tuple[str, ...]
    description: tuple[str, ...]
    details: Mapping[str, Any]
    price: float | None  # US dollars
    store: str
    bought_together: tuple[str, ...]  # parent_asins; empty in most rows of the 2023 release


def categories(raw: RawData) -> list[str]:
    """The categories whose reviews lie there, sorted: ``["All_Beauty", ...]``."""
    return [path.name.partition(".")[0] for path in find_all(raw / _REVIEWS, "*")]


def reviews(raw: RawData, category: str) -> Iterator[Review]:
    """The reviews of one category; of a giant one, all reviews of an even sample of its products."""
    path, keep = find(raw / _REVIEWS, category), _sieve(raw, category)
    return read(raw, path, _REVIEW, lambda row: _review(row) if keep(text(row["parent_asin"])) else None)


def products(raw: RawData, category: str) -> Iterator[Product]:
    """The products of one category; of a giant one, the same sample of them.

    Some files have no category paths at all: meta_All_Beauty.
    """
    path, keep = find(raw / _META, f"meta_{category}"), _sieve(raw, category)
    seen = with_path = 0
    for product in read(
        raw, path, _PRODUCT, lambda row: _product(row) if keep(text(row["parent_asin"])) else None, optional=_SOME
    ):
        seen, with_path = seen + 1, with_path + bool(product.categories)
        yield product
    if seen and not with_path:
        raw.remarks[f"no product of meta_{category} has a category path"] = None


def _sieve(raw: RawData, category: str) -> Callable[[str], bool]:
    """One answer for both files, so that they can be joined."""
    both = ((raw / _REVIEWS, f"{category}."), (raw / _META, f"meta_{category}."))
    return raw.sieve(*(path for folder, stem in both for path in folder.glob(f"{stem}*")))


def _review(row: RawRow) -> Review:
    return Review(
        rating=int(row["rating"]),
        title=plain(row["title"]),
        text=plain(row["text"]),
        asin=text(row["asin"]),
        parent_asin=text(row["parent_asin"]),
        user_id=text(row["user_id"]),
        timestamp=int(row["timestamp"]),
        helpful_vote=int(row["helpful_vote"] or 0),
    )


def _product(row: RawRow) -> Product:
    details = row.get("details") or {}
    if isinstance(details, str):  # mirrors on the Hugging Face hub print the object
        details = json.loads(details) or {}
    if not isinstance(details, dict):
        raise TypeError(f"an object was expected as details, not {str(details)[:40]!r}")
    return Product(
        parent_asin=text(row["parent_asin"]),
        title=plain(row["title"]),
        categories=_texts(row["categories"]),
        features=_texts(row["features"]),
        description=_texts(row["description"]),
        details={name: plain(value) if isinstance(value, str) else value for name, value in details.items()},
        price=_price(row["price"]),
        store=plain(row["store"]),
        bought_together=_texts(row.get("bought_together")),
    )


def _texts(value: Any) -> tuple[str, ...]:
    """A list of texts; some rows have null or one bare text in its place."""
    return tuple(filter(None, map(plain, [value] if isinstance(value, str) else value or [])))


def _price(value: Any) -> float | None:
    """Published as a number, as null, or as text: ``"$1,299.00"``, ``"from 12.50"``, ``"None"``."""
    if isinstance(value, int | float):
        return float(value)
    number = re.search(r"\d+(\.\d+)?", text(value).replace(",", ""))
    return float(number[0]) if number else None
