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

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from dataset_builders.sources import amazon_reviews
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import multiple_choice, one_line, product_entity
from dataset_builders.tasks._judgements import apart
from dataset_builders.tasks._product_types import Names, Path, enough

_WRONG = 3
_SHOWN = 5_000  # products of each category that tell what else the shop sells
_TRIED = 40  # categories from elsewhere
_OFTEN = 2.0  # times that chance would have put two types together, if they are complements
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
    elsewhere = _Elsewhere(raw)
    for category in amazon_reviews.categories(raw):
        items = _items(raw, category)
        counts = _Counts(
            (items[pair.product].path[-1], items[pair.other].path[-1]) for pair in _together(raw, category, items)
        )
        asked: Counter[tuple[str, str]] = Counter()
        for pair in _together(raw, category, items):
            path, other = items[pair.product].path, items[pair.other].path
            if not counts.often(path[-1], other[-1]):
                continue
            if not apart(path[-1], other[-1]):  # work socks beside running socks
                raw.lacking["of two types that share a word"] += 1
                continue
            example = items[pair.product].title if asked[path[-1], other[-1]] >= _BARE else ""
            asked[path[-1], other[-1]] += 1
            if seeded.wants(product_entity(pair.product)):
                rng = seeded.rng(f"{pair.product}:{pair.other}")
                wrong = elsewhere.draw(rng, path, other, counts)
                if len(wrong) == _WRONG:
                    fields = {"product_type": path[-1], "example": example}
                    yield multiple_choice(rng, product_entity(pair.product), fields, other[-1], wrong)
                else:
                    raw.lacking["with no other department to take wrong options from"] += 1


def _items(raw: RawData, category: str) -> dict[str, _Item]:
    """The join holds the paths and titles of one category (4 million products in the largest)."""
    names = Names()
    whole = {
        row.parent_asin: _Item(path, one_line(row.title, _TITLE), bool(row.bought_together))
        for row in amazon_reviews.products(raw, category)
        if (path := names.add(row))
    }
    return {id: item._replace(path=path) for id, item in whole.items() if (path := names.path(item.path))}


class _Elsewhere:
    """Types by department; where there is one department alone, by what is below it. From the first products of all
    categories.

    As in the contest, wrong options come from other ones: what is sold in the same one is often bought together.
    """

    def __init__(self, raw: RawData) -> None:
        types, bought, paths = dict[str, str](), dict[str, Sequence[str]](), set[Path]()
        for category in amazon_reviews.categories(raw):
            names, whole = Names(), dict[str, Path]()
            for product in islice(amazon_reviews.products(raw, category), _SHOWN):
                whole[product.parent_asin] = names.add(product)
                bought[product.parent_asin] = product.bought_together
            types |= {id: path[-1] for id, long in whole.items() if (path := names.path(long))}
            paths |= names.paths()
        found = ((types.get(id), types.get(other)) for id, others in bought.items() for other in others)
        self._together = {_either(one, other) for one, other in found if one and other}
        self._depth = 1 if len({path[0] for path in paths}) > 1 else 2
        places: defaultdict[Path, set[str]] = defaultdict(set)
        for path in paths:
            places[path[: self._depth]].add(path[-1])
        self._types = {place: sorted(names) for place, names in sorted(places.items())}

    def draw(self, rng: random.Random, one: Path, other: Path, counts: _Counts) -> list[str]:
        """At most ``_WRONG`` types of other places, the places drawn first: a large one does not give them all.

        None shares a word with what is asked or with the answer, or was ever bought together with what is asked.
        """
        own = {one[: self._depth], other[: self._depth]}
        places = [place for place in self._types if place not in own]
        asked, found = " ".join((*one[1:], other[-1])), list[str]()
        for _ in range(_TRIED if places else 0):
            name = rng.choice(self._types[rng.choice(places)])
            pair = _either(one[-1], name)
            if name not in found and apart(asked, name) and pair not in self._together and not counts.together(pair):
                found.append(name)
                if len(found) == _WRONG:
                    break
        return found


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


def _either(one: str, other: str) -> tuple[str, str]:
    return min(one, other), max(one, other)


class _Counts:
    """How often types were bought together with each other, and with anything."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._types: Counter[str] = Counter()
        for one, other in pairs:
            self._pairs[_either(one, other)] += 1
            self._types.update((one, other))
        self._total = self._types.total()
        self._enough = enough(self._total // 2, len(self._pairs))

    def often(self, one: str, other: str) -> bool:
        """Whether that is more often than chance would give."""
        seen = self._pairs[_either(one, other)]
        return seen >= self._enough and seen * self._total >= _OFTEN * self._types[one] * self._types[other]

    def together(self, pair: tuple[str, str]) -> bool:
        return pair in self._pairs
