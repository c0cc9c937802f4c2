"""Product types: the leaves of Amazon's tree of categories, and which of them are near each other."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from dataset_builders.raw import RawData
from dataset_builders.sources import amazon_reviews
from dataset_builders.tasks._common import one_line

Path = tuple[str, ...]
ENOUGH = 20  # sightings from which on never to have seen something tells that it is not so
_LOOKED_AT = 64  # of a large branch
# Leaves that do not say what a product is.
_VAGUE = re.compile(
    r"(?:.* )?(?:accessories|parts)|others?|more|general|miscellaneous|sets|kits|men|women|boys|girls", re.I
)


def path_of(product: amazon_reviews.Product) -> Path:
    """Its categories from the department down to the leaf; empty where the leaf does not say what it is."""
    path = _tidy(product.categories)
    return path if len(path) > 1 and not _VAGUE.fullmatch(path[-1]) else ()


@lru_cache(maxsize=20_000)
def _tidy(categories: Path) -> Path:
    return tuple(filter(None, map(one_line, categories)))


def typed_products(raw: RawData) -> Iterator[tuple[amazon_reviews.Product, Path]]:
    """Those of all categories whose path says what they are, with it."""
    for category in amazon_reviews.categories(raw):
        for product in amazon_reviews.products(raw, category):
            if path := path_of(product):
                yield product, path


def typed_reviews(raw: RawData) -> Iterator[tuple[amazon_reviews.Review, str]]:
    """All reviews of such products, with their product's type."""
    for category in amazon_reviews.categories(raw):
        types = types_of(raw, category)
        for review in amazon_reviews.reviews(raw, category):
            if review.parent_asin in types:
                yield review, types[review.parent_asin]


def types_of(raw: RawData, category: str) -> dict[str, str]:
    """parent_asin -> product type; the join holds the ids of one category (4 million in the largest)."""
    rows = ((row.parent_asin, path_of(row)) for row in amazon_reviews.products(raw, category))
    return {product: path[-1] for product, path in rows if path}


def enough(sightings: int, kinds: int) -> int:
    """``ENOUGH``; what there is of each kind on average where a file holds less."""
    return max(2, min(ENOUGH, sightings // max(kinds, 1)))


class Tree:
    """All leaves below each category: a few thousand names."""

    def __init__(self, paths: Iterable[Path]) -> None:
        below: defaultdict[Path, set[str]] = defaultdict(set)
        for path in set(paths):
            for depth in range(len(path)):
                below[path[:depth]].add(path[-1])
        self._below = {branch: sorted(leaves) for branch, leaves in below.items()}

    def near(
        self, rng: random.Random, path: Path, count: int, fits: Callable[[str], bool] = bool, *, among: int = 0
    ) -> list[str]:
        """At most ``count`` other leaves that fit, from siblings outwards.

        With ``among``, they are drawn from the branch in which at least so many fit.
        """
        chosen: list[str] = []
        for depth in reversed(range(len(path))):
            leaves = self._below[path[:depth]]
            leaves = rng.sample(leaves, _LOOKED_AT) if len(leaves) > _LOOKED_AT else leaves
            found = [leaf for leaf in leaves if leaf not in path and leaf not in chosen and fits(leaf)]
            if len(found) >= among or depth == 0:
                chosen += rng.sample(found, min(len(found), count - len(chosen)))
            if len(chosen) == count:
                break
        return chosen
