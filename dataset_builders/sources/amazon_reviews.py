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

from dataset_builders.published.declare import File, Licence, Published
from dataset_builders.raw import RawData
from dataset_builders.sources._files import Raw, find, find_all, read, text

_REVIEWS, _META = "amazon_reviews/raw/review_categories", "amazon_reviews/raw/meta_categories"
_REVIEW = ("rating", "title", "text", "asin", "parent_asin", "user_id", "timestamp", "helpful_vote")
_PRODUCT = (
    "parent_asin",
    "title",
    "main_category",
    "categories",
    "features",
    "description",
    "price",
    "store",
)
_SOME = ("details", "average_rating", "rating_number", "bought_together")  # not in every mirror

# Category -> millions of tokens of its reviews and of its products, from the dataset's card. (The card's 34th,
# "Unknown", is left out: it says 18 tokens about a product.)
_TOKENS = {
    "All_Beauty": (31.6, 74.1), "Amazon_Fashion": (94.9, 510.5), "Appliances": (92.8, 95.3),
    "Arts_Crafts_and_Sewing": (350, 695.4), "Automotive": (824.9, 1700), "Baby_Products": (323.3, 218.6),
    "Beauty_and_Personal_Care": (1100, 913.7), "Books": (2900, 3700), "CDs_and_Vinyl": (514.8, 287.5),
    "Cell_Phones_and_Accessories": (935.4, 1300), "Clothing_Shoes_and_Jewelry": (2600, 5900),
    "Digital_Music": (11.4, 22.3), "Electronics": (2700, 1700), "Gift_Cards": (3.6, 0.63),
    "Grocery_and_Gourmet_Food": (579.5, 462.8), "Handmade_Products": (23.3, 125.8),
    "Health_and_Household": (1200, 787.2), "Health_and_Personal_Care": (23.9, 40.3), "Home_and_Kitchen": (3100, 3800),
    "Industrial_and_Scientific": (235.2, 363.1), "Kindle_Store": (2200, 1700), "Magazine_Subscriptions": (3.8, 1.3),
    "Movies_and_TV": (1000, 415.5), "Musical_Instruments": (182.2, 200.1), "Office_Products": (574.7, 682.8),
    "Patio_Lawn_and_Garden": (781.3, 875.1), "Pet_Supplies": (905.9, 511), "Software": (179.4, 67.1),
    "Sports_and_Outdoors": (986.2, 1300), "Subscription_Boxes": (1, 0.447),
    "Tools_and_Home_Improvement": (1300, 1500), "Toys_and_Games": (707.9, 848.3), "Video_Games": (347.9, 137.3),
}  # fmt: skip
_PACKED = (2.5, 1.0)  # bytes a token in the .gz files; the four large ones whose sizes are known lie within a third
_URL = "https://mcauleylab.ucsd.edu/public_datasets/data/amazon_2023"


def _published(path: str, tokens: float, packed: float) -> File:
    return File(path, f"{_URL}/{path}", int(tokens * packed * 1e6), estimated=True)


PUBLISHED = Published(
    title="Amazon Reviews 2023",
    home="https://amazon-reviews-2023.github.io",
    licence=Licence(
        "none (McAuley Lab says it cannot assign one)",
        "https://huggingface.co/datasets/McAuley-Lab/Amazon-Reviews-2023/discussions/1",
        accept=True,
        limits="given for research first of all; what else is lawful is yours to find out",
    ),
    files=tuple(
        _published(path, tokens, packed)
        for category, sizes in _TOKENS.items()
        for path, tokens, packed in zip(
            (f"raw/review_categories/{category}.jsonl.gz", f"raw/meta_categories/meta_{category}.jsonl.gz"),
            sizes,
            _PACKED,
            strict=True,
        )
    ),
)


class Review(NamedTuple):
    rating: int  # 1 to 5 stars
    title: str
    text: str
    asin: str
    parent_asin: str
    user_id: str
    timestamp: int  # milliseconds since 1970
    helpful_vote: int
    verified_purchase: bool

    @property
    def key(self) -> str:
        """Which of the reviews of its product this is."""
        return f"{self.user_id}:{self.timestamp}"


class Product(NamedTuple):
    """``categories`` goes from the department down to the leaf; it may be empty, as may every text."""

    parent_asin: str
    title: str
    main_category: str
    categories: tuple[str, ...]
    features: tuple[str, ...]
    description: tuple[str, ...]
    details: Mapping[str, Any]
    price: float | None  # US dollars
    store: str
    average_rating: float | None
    rating_number: int
    bought_together: tuple[str, ...]  # parent_asins; empty in most rows of the 2023 release


def categories(raw: RawData) -> list[str]:
    """The categories whose reviews lie there, sorted: ``["All_Beauty", ...]``."""
    return [path.name.partition(".")[0] for path in find_all(raw / _REVIEWS, "*")]


def reviews(raw: RawData, category: str) -> Iterator[Review]:
    """The reviews of one category; of a giant one, all reviews of an even sample of its products."""
    path, keep = find(raw / _REVIEWS, category), _sieve(raw, category)
    return read(raw, path, _REVIEW, lambda row: _review(row) if keep(text(row["parent_asin"])) else None)


def products(raw: RawData, category: str) -> Iterator[Product]:
    """The products of one category; of a giant one, the same sample of them."""
    path, keep = find(raw / _META, f"meta_{category}"), _sieve(raw, category)
    return read(
        raw, path, _PRODUCT, lambda row: _product(row) if keep(text(row["parent_asin"])) else None, optional=_SOME
    )


def _sieve(raw: RawData, category: str) -> Callable[[str], bool]:
    """One answer for both files, so that they can be joined."""
    both = ((raw / _REVIEWS, f"{category}."), (raw / _META, f"meta_{category}."))
    return raw.sieve(*(path for folder, stem in both for path in folder.glob(f"{stem}*")))


def _review(row: Raw) -> Review:
    return Review(
        rating=int(row["rating"]),
        title=text(row["title"]),
        text=text(row["text"]),
        asin=text(row["asin"]),
        parent_asin=text(row["parent_asin"]),
        user_id=text(row["user_id"]),
        timestamp=int(row["timestamp"]),
        helpful_vote=int(row["helpful_vote"] or 0),
        verified_purchase=bool(row.get("verified_purchase")),
    )


def _product(row: Raw) -> Product:
    details = row.get("details") or {}
    if isinstance(details, str):  # mirrors on the Hugging Face hub print the object
        details = json.loads(details) or {}
    if not isinstance(details, dict):
        raise TypeError(f"an object was expected as details, not {str(details)[:40]!r}")
    average = row.get("average_rating")
    return Product(
        parent_asin=text(row["parent_asin"]),
        title=text(row["title"]),
        main_category=text(row["main_category"]),
        categories=_texts(row["categories"]),
        features=_texts(row["features"]),
        description=_texts(row["description"]),
        details=details,
        price=_price(row["price"]),
        store=text(row["store"]),
        average_rating=None if average is None else float(average),
        rating_number=int(row.get("rating_number") or 0),
        bought_together=_texts(row.get("bought_together")),
    )


def _texts(value: Any) -> tuple[str, ...]:
    """A list of texts; some rows have null or one bare text in its place."""
    return tuple(filter(None, map(text, [value] if isinstance(value, str) else value or [])))


def _price(value: Any) -> float | None:
    """Published as a number, as null, or as text: ``"$1,299.00"``, ``"from 12.50"``, ``"None"``."""
    if isinstance(value, int | float):
        return float(value)
    number = re.search(r"\d+(\.\d+)?", text(value).replace(",", ""))
    return float(number[0]) if number else None
