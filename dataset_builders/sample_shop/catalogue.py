"""The shop's vocabulary as typed, ready-made strings; loaded once from the YAML files beside this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

from spine.yamlfile import read_lists

LANGUAGES = ("en", "de", "es", "fr", "it", "ja")
Word = tuple[str, ...]  # one string for each of LANGUAGES
EN, DE, ES, FR, IT, JA = range(6)


@dataclass(frozen=True, slots=True)
class Aspect:
    """What reviewers judge: ``good`` and ``bad`` sentences on it, which share none."""

    name: str
    good: tuple[str, ...]
    bad: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)  # eq=False: there is one of each, compared by identity
class ProductType:
    """A type of product. ``index`` is its place in ``Catalogue.types``; ``goes_with`` holds such places."""

    index: int
    key: str
    category: str  # as in the names of the review files, "Pet_Supplies"
    path: tuple[str, ...]  # from the category's title down
    names: Word
    one: str  # a single one inside an English sentence: "tent", "pair of socks"
    about: str
    materials: tuple[Word, ...]
    colors: tuple[Word, ...]
    sizes: tuple[Word, ...]
    topics: tuple[Word, ...]  # of books only
    features: tuple[Word, ...]
    uses: tuple[Word, ...]
    packs: bool
    attributes: Mapping[str, tuple[str, ...]]
    goes_with: tuple[int, ...]
    aspects: tuple[Aspect, ...]
    openers: tuple[tuple[str, ...], ...]  # [stars - 1]

    @property
    def name(self) -> str:
        """In English, as written inside a sentence."""
        return _lower(self.names[EN])


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    brands: tuple[str, ...]
    authors: tuple[str, ...]
    bindings: tuple[Word, ...]
    pack: Word  # with {n}
    phrases: Mapping[str, Word]
    types: tuple[ProductType, ...]
    categories: tuple[str, ...]
    titles: Mapping[str, str]  # category -> how it is written for customers
    headlines: tuple[tuple[str, ...], ...]  # [stars - 1]
    facts: tuple[str, ...]

    def types_of(self, category: str) -> list[ProductType]:
        return [kind for kind in self.types if kind.category == category]

    def partners(self, kind: ProductType) -> list[ProductType]:
        """Types that go with ``kind``."""
        return [self.types[index] for index in kind.goes_with]

    def strangers(self, kind: ProductType) -> tuple[ProductType, ...]:
        """Types of other categories that do not go with ``kind``: irrelevant to somebody who wants it."""
        return _strangers(self, kind)


@cache
def _strangers(shop: Catalogue, kind: ProductType) -> tuple[ProductType, ...]:
    def related(other: ProductType) -> bool:
        return other.index in kind.goes_with or kind.index in other.goes_with

    return tuple(other for other in shop.types if other.category != kind.category and not related(other))


def _size(entry: str, raw: Mapping[str, Any]) -> Word:
    """A size group's entry in all languages: "medium", "=M" (takes the prefix) or "9.2 oz"."""
    if entry in raw["size_words"]:
        words: Word = raw["size_words"][entry]
        return words
    if entry.startswith("="):
        return tuple(f"{prefix} {entry[1:]}" for prefix in raw["size_prefix"])
    number, unit = entry.split(" ")
    return tuple(f"{number} {word}" for word in raw["units"][unit])


@cache
def read(name: str) -> dict[str, Any]:
    """A YAML file of this folder, with tuples for its lists; read on the first call (the catalogue: 0.3 s)."""
    lists: dict[str, Any] = _frozen(read_lists(Path(__file__).with_name(name)))
    return lists


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _frozen(inner) for key, inner in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _product_type(index: int, key: str, raw: Mapping[str, Any], order: Sequence[str]) -> ProductType:
    entry = raw["types"][key]
    category = raw["categories"][entry["category"]]
    book = "topics" in entry
    plain = book or entry.get("plain", False)
    one = entry.get("one", _lower(entry["names"][EN]))
    return ProductType(
        index=index,
        key=key,
        category=entry["category"],
        path=(category["title"], *entry["path"]),
        names=entry["names"],
        one=one,
        about=entry["about"],
        materials=tuple(raw["materials"][material] for material in entry.get("materials", ())),
        colors=() if plain else tuple(raw["colors"].values()),
        sizes=tuple(_size(size, raw) for size in raw["sizes"][entry["sizes"]]) if "sizes" in entry else (),
        topics=entry.get("topics", ()),
        features=category["features"],
        uses=category["uses"],
        packs=entry.get("packs", False),
        attributes={what: _values(values, raw["devices"]) for what, values in entry["attributes"].items()},
        goes_with=tuple(order.index(other) for other in entry["goes_with"]),
        aspects=tuple(Aspect(**raw["aspects"][name]) for name in entry["aspects"]),
        openers=tuple(tuple(text.format(type=one) for text in texts) for texts in raw["openers"].values()),
    )


def _values(entry: str | Sequence[Any], devices: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """An attribute's values; the name of a group of devices stands for every two of them."""
    return tuple(map(" and ".join, combinations(devices[entry], 2)) if isinstance(entry, str) else map(str, entry))


def _lower(name: str) -> str:
    """A type's English name inside a sentence."""
    return " ".join(word if word.isupper() else word.lower() for word in name.split(" "))


@cache
def catalogue() -> Catalogue:
    """The vocabulary."""
    raw = read("catalogue.yaml")
    assert raw["languages"] == LANGUAGES
    order = list(raw["types"])
    return Catalogue(
        **{name: raw[name] for name in ("brands", "authors", "pack", "phrases", "facts")},
        bindings=tuple(raw["bindings"].values()),
        types=tuple(_product_type(index, key, raw, order) for index, key in enumerate(order)),
        categories=tuple(raw["categories"]),
        titles={name: category["title"] for name, category in raw["categories"].items()},
        headlines=tuple(raw["headlines"].values()),
    )
