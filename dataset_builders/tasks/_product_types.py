"""Product types: the leaves of Amazon's tree of categories, and which of them are near each other."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import pairwise

from dataset_builders.raw import RawData
from dataset_builders.sources import amazon_reviews
from dataset_builders.tasks._common import one_line
from dataset_builders.tasks._judgements import stem, stems
from dataset_builders.tasks._lexicon import COLORS, NO_TYPE

Path = tuple[str, ...]
ENOUGH = 20  # sightings from which on never to have seen something tells that it is not so
_LOOKED_AT = 64  # of a large branch
# Leaves that do not say what a product is.
_VAGUE = re.compile(
    r"(?:.* )?(?:accessories|parts)|others?|more|general|miscellaneous|sets|kits|men|women|boys|girls", re.I
)
_TITLES = 500  # of one leaf that are looked at
# A category names its products if at least so many of their titles say it, half as many as say the category above, and
# so many as the thing itself: "Women's Casual Dress" is a dress and no casual. One in the singular may be an adjective,
# and has to show more.
_SAID, _BESIDE_PARENT, _AS_MANY, _AS_ONE = 0.1, 0.5, 0.05, 0.2
_ALTERNATIVES = re.compile(r"\s*(?:[&,/]|\band\b|\bor\b)\s*", re.I)
_WORD = re.compile(r"[^\W\d_]{3,}")
_TOKEN = re.compile(r"[^\W\d_]+(?:['’]s)?|\d+|[^\w\s]")
# What may follow the word for a thing in a title: "Dress in Red", "Dress - Red", "Dress Red".
_GOES_ON = NO_TYPE | COLORS | {"by", "from", "in", "of", "on", "or", "to", "w"}


class _Seen:
    """Of a category's products, how many there are, and how many titles say it, say it as a thing, say its parent."""

    __slots__ = ("as_thing", "parent", "products", "said")

    def __init__(self) -> None:
        self.products = self.said = self.as_thing = self.parent = 0


class Names:
    """Which categories say what their products are, by the titles of these products.

    Many a leaf only divides its parent: Casual (dresses), Stud (earrings), B6 (vitamins), Universal Fit (floor mats).
    A product is then called by what is above. Memory: a few counts for each category.
    """

    def __init__(self, products: Iterable[amazon_reviews.Product] = ()) -> None:
        self._seen: defaultdict[Path, _Seen] = defaultdict(_Seen)
        self._shown: dict[Path, Path] = {}
        self._whole: set[Path] = set()  # of products
        for product in products:
            self.add(product)

    def add(self, product: amazon_reviews.Product) -> Path:
        """Its categories from the department down, all of them; to be called for all products before ``path``."""
        path = _tidy(product.categories)
        if len(path) > 1 and self._seen[path].products < _TITLES:
            self._whole.add(path)
            said, above = _said(product.title), False
            for depth in range(2, len(path) + 1):
                seen, found = self._seen[path[:depth]], [said[head] for head in _heads(path[depth - 1]) if head in said]
                seen.products += 1
                seen.said += bool(found)
                seen.as_thing += any(found)
                seen.parent += above
                above = bool(found)
        return path

    def path(self, path: Path) -> Path:
        """Up to the leaf, or to the category above where the leaf is no name; empty where that is none either."""
        if path not in self._shown:
            depths = range(len(path), max(1, len(path) - 2), -1)
            self._shown[path] = next((path[:depth] for depth in depths if self._is_name(path[:depth])), ())
        return self._shown[path]

    def of(self, product: amazon_reviews.Product) -> Path:
        return self.path(_tidy(product.categories))

    def paths(self) -> set[Path]:
        """All that products are called by."""
        return set(filter(None, map(self.path, self._whole)))

    def _is_name(self, path: Path) -> bool:
        seen, plural = self._seen[path], path[-1][-1] == "s"
        least = _AS_MANY * seen.said if plural else max(1.0, _AS_ONE * seen.said)
        return (
            seen.said >= max(1.0, _SAID * seen.products, _BESIDE_PARENT * seen.parent)
            and seen.as_thing >= int(least)  # of a few titles not one in twenty need show it
            and not _VAGUE.fullmatch(path[-1])
        )


def says(title: str, path: Path) -> bool:
    """Whether the title has a word of the product's categories below the department."""
    return not stems(title).isdisjoint(stems(" ".join(path[1:])))


@lru_cache(maxsize=20_000)
def _heads(name: str) -> tuple[str, ...]:
    """The stems of what a category is the name of: "Coats, Jackets & Vests" are three."""
    found = (_WORD.findall(part.lower()) for part in _ALTERNATIVES.split(name))
    return tuple(stem(words[-1]) for words in found if words)


def _said(title: str) -> dict[str, bool]:
    """The stems of its words; whether one stands where a thing is named and not what kind of thing it is."""
    said: dict[str, bool] = {}
    for token, follows in pairwise([*_TOKEN.findall(title.lower()), "."]):
        if token[0].isalpha():
            key = stem(token)
            said[key] = said.get(key, False) or not follows[0].isalpha() or follows in _GOES_ON
    return said


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
    names = Names()
    rows = amazon_reviews.products(raw, category)
    paths = {row.parent_asin: path for row in rows if (path := names.add(row)) and says(row.title, path)}
    return {product: path[-1] for product, whole in paths.items() if (path := names.path(whole))}


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
        chosen, own = list[str](), {*path, *self._below.get(path, ())}  # what is below it is no other
        for depth in reversed(range(len(path))):
            leaves = self._below[path[:depth]]
            leaves = rng.sample(leaves, _LOOKED_AT) if len(leaves) > _LOOKED_AT else leaves
            found = [leaf for leaf in leaves if leaf not in own and leaf not in chosen and fits(leaf)]
            if len(found) >= among or depth == 0:
                chosen += rng.sample(found, min(len(found), count - len(chosen)))
            if len(chosen) == count:
                break
        return chosen
