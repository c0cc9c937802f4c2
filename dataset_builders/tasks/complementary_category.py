"""Which of four product categories complements a product type, from what is bought together.

https://amazon-reviews-2023.github.io
amazon_reviews/raw/meta_categories/meta_{Cat}.jsonl (invented, shortened):

    {"parent_asin": "B0EXAMPLE7", "categories": ["Sports & Outdoors", "Camping", "Lanterns"],
     "bought_together": ["B0EXAMPLE8"], ...}

Where that column is null, as in most of the release: amazon_reviews/raw/review_categories/{Cat}.jsonl

    {"user_id": "AE7X", "parent_asin": "B0EXAMPLE7", ...}
    {"user_id": "AE7X", "parent_asin": "B0EXAMPLE8", ...}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from dataset_builders.sources import amazon_reviews
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import multiple_choice, one_line, product_entity
from dataset_builders.tasks._product_types import Path, Tree, enough, path_of

_WRONG, _AMONG = 3, 6  # wrong options; categories of one branch that they are drawn from
# Times that chance would have put two types together: complements at least, wrong options at most.
_OFTEN, _NEVER = 2.0, 0.1
_BARE = 20  # questions on a pair of types before an example tells further ones apart
_TITLE = 200
_USERS, _LATEST = 200_000, 3  # users remembered, and products that each reviewed last


class _Item(NamedTuple):
    path: Path
    title: str
    published: bool  # what was bought together with it


class _Pair(NamedTuple):
    product: str
    other: str


@task(type=TaskType.MULTIPLE_CHOICE, source="amazon_reviews", track=2, llm="enrich")
def build(raw: RawData, seeded: Seeded) -> Questions:
    for category in amazon_reviews.categories(raw):
        # The join holds the paths and titles of one category (4 million products in the largest).
        items = {
            product.parent_asin: _Item(path, one_line(product.title, _TITLE), bool(product.bought_together))
            for product in amazon_reviews.products(raw, category)
            if (path := path_of(product))
        }
        tree = Tree(item.path for item in items.values())
        counts = _Counts(
            (items[pair.product].path[-1], items[pair.other].path[-1]) for pair in _together(raw, category, items)
        )
        asked: Counter[tuple[str, str]] = Counter()
        for pair in _together(raw, category, items):
            path, right = items[pair.product].path, items[pair.other].path[-1]
            if counts.often(path[-1], right):
                example = items[pair.product].title if asked[path[-1], right] >= _BARE else ""
                asked[path[-1], right] += 1
                if not seeded.wants(product_entity(pair.product)):
                    continue
                rng = seeded.rng(f"{pair.product}:{pair.other}")
                wrong = tree.near(rng, path, _WRONG, partial(counts.never, path[-1]), among=_AMONG)
                if len(wrong) == _WRONG:
                    fields = {"product_type": path[-1], "example": example}
                    yield multiple_choice(rng, product_entity(pair.product), fields, right, wrong)


def _together(raw: RawData, category: str, items: Mapping[str, _Item]) -> Iterator[_Pair]:
    """Products of two types that were bought together: as published, or else reviewed by one user."""
    for row in amazon_reviews.products(raw, category):
        for other in row.bought_together:
            if _two_types(items, row.parent_asin, other):
                yield _Pair(row.parent_asin, other)
    latest: dict[str, tuple[str, ...]] = {}  # user -> products; who was not seen for longest is forgotten
    for review in amazon_reviews.reviews(raw, category):
        product, before = review.parent_asin, latest.pop(review.user_id, ())
        for other in before:
            if _two_types(items, product, other) and not items[product].published:
                yield _Pair(product, other)
        latest[review.user_id] = (*before, product)[-_LATEST:]
        if len(latest) > _USERS:
            del latest[next(iter(latest))]


def _two_types(items: Mapping[str, _Item], product: str, other: str) -> bool:
    return product in items and other in items and items[product].path[-1] != items[other].path[-1]


class _Counts:
    """How often types were bought together with each other, and with anything."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._types: Counter[str] = Counter()
        for one, other in pairs:
            self._pairs[min(one, other), max(one, other)] += 1
            self._types.update((one, other))
        self._total = self._types.total()
        self._enough = enough(self._total // 2, len(self._pairs)), enough(self._total, len(self._types))

    def often(self, one: str, other: str) -> bool:
        return self._pairs[min(one, other), max(one, other)] >= self._enough[0] and self._lift(one, other) >= _OFTEN

    def never(self, one: str, other: str) -> bool:
        """Whether they are not bought together although ``other`` is bought together with much else."""
        return self._types[other] >= self._enough[1] and self._lift(one, other) <= _NEVER

    def _lift(self, one: str, other: str) -> float:
        """What was seen of a pair against what chance would give."""
        seen = self._pairs.get((min(one, other), max(one, other)), 0)
        return seen * self._total / (self._types[one] * self._types[other])
