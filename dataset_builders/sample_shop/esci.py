"""ESCI: shopping queries and judged products, in three locales.

Queries come in families of four: one on a type of product, one that asks for more of it, another one on that type,
and one on a type that goes with it. They share a shelf of 24 products, so that a product is judged for several
queries. The label follows from the words: E every asked attribute fits; S the same type, but an asked attribute
differs; C a type that goes with it; I anything else.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from dataset_builders.sample_shop.catalogue import EN, ES, JA, ProductType, Word
from dataset_builders.sample_shop.draws import Draw
from dataset_builders.sample_shop.tables import Shop, Table, parquet_file
from dataset_builders.sample_shop.words import Product, asin, bullets, description, details, draw_product, title

LANGUAGE = {"us": EN, "es": ES, "jp": JA}
_LOCALES = ("us",) * 6 + ("es",) * 2 + ("jp",) * 2  # shares in tenths
FAMILY, SHELF, MOST = 4, 24, 16  # queries of a family, products on its shelf, products judged for a query
_SAME, _PARTNERS = 12, 6  # of the shelf: the type itself, types that go with it; the rest is irrelevant
_EXAMPLE = ("example_id", "query", "query_id", "product_id", "product_locale", "esci_label", "small_version",
            "large_version", "split")  # fmt: skip
_INTEGERS = ("example_id", "query_id", "small_version", "large_version")
_PRODUCT = ("product_id", "product_title", "product_description", "product_bullet_point", "product_brand",
            "product_color", "product_locale")  # fmt: skip


class Query(NamedTuple):
    """What somebody asks for; None: they do not care."""

    kind: ProductType
    brand: str | None
    color: Word | None
    material: Word | None

    def label(self, product: Product) -> str:
        if product.kind is not self.kind:
            return "C" if product.kind.index in self.kind.goes_with else "I"
        asked = ((self.brand, product.brand), (self.color, product.color), (self.material, product.material))
        return "E" if all(want is None or want == has for want, has in asked) else "S"

    def text(self, lang: int) -> str:
        """As typed: lower case, no commas, the words in the order of the language."""
        color = self.color[lang] if self.color else ""
        material = self.material[lang] if self.material else ""
        name, brand = self.kind.names[lang], self.brand or ""
        parts = (color, material, name, brand) if lang == EN else (name, color, material, brand)
        return " ".join(part for part in parts if part).lower()


def shelf(shop: Shop, family: int) -> tuple[str, list[Product]]:
    """The locale of a family and its products."""
    draw = Draw(shop.seed, "shelf", family)
    locale = draw.pick(_LOCALES)
    return locale, stack(shop, draw, [asin(family * SHELF + place, "B2") for place in range(SHELF)])


def stack(shop: Shop, draw: Draw, ids: list[str]) -> list[Product]:
    """A shelf: 12 products of a type, 6 of types that go with it, the rest of others."""
    catalogue = shop.catalogue
    kind = draw.pick([kind for kind in catalogue.types if kind.colors])
    brands, colors = draw.some(catalogue.brands, 3), draw.some(kind.colors, 3)
    partners, strangers = catalogue.partners(kind), catalogue.strangers(kind)
    products = []
    for place, id in enumerate(ids):
        other = kind if place < _SAME else draw.pick(partners if place < _SAME + _PARTNERS else strangers)
        item = draw_product(catalogue, other, id, draw)
        if other is kind:  # few brands and colours, so that a query fits some of them
            item = item._replace(brand=draw.pick(brands), color=draw.pick(colors))
        products.append(item)
    return products


def draw_query(products: list[Product], draw: Draw, *, partner: bool = False) -> Query:
    """A query that at least one product of the shelf fits: it asks for some of that product's attributes.

    ``partner``: one of a type that goes with the shelf's own, unless these are books or food alone.
    """
    partners = [item for item in products[_SAME : _SAME + _PARTNERS] if partner and item.color]
    like = draw.pick(partners or products[:_SAME])
    asks = draw.pick(("c", "m", "b", "b", "cm", "cb", "mb", "cmb", ""))
    return Query(
        like.kind,
        like.brand if "b" in asks else None,
        like.color if "c" in asks else None,
        _material(like) if "m" in asks else None,
    )


def _material(item: Product) -> Word | None:
    """What a query may ask for: not steel where some are of stainless steel, who would say which of them fits?"""
    if item.material is None or any(word[EN].endswith(f" {item.material[EN]}") for word in item.kind.materials):
        return None
    return item.material


def narrowed(query: Query, products: list[Product], draw: Draw) -> Query:
    """The query with one attribute more, of a product that fits; another query if it has them all."""
    like = draw.pick([item for item in products if query.label(item) == "E"])
    wishes: dict[str, Any] = {"brand": like.brand, "color": like.color, "material": _material(like)}
    more = [name for name, value in wishes.items() if value and getattr(query, name) is None]
    if not more:
        return draw_query(products, draw)
    return query._replace(**{name: wishes[name] for name in draw.some(more, 1)})


def judged(query: Query, products: list[Product], draw: Draw) -> list[Product]:
    """8 to 16 of the shelf, among them three that fit exactly, if there are so many."""
    chosen = draw.some(products, draw.between(8, MOST))
    exact = [product for product in products if query.label(product) == "E"][:3]
    return draw.shuffled([*exact, *(product for product in chosen if product not in exact)][: len(chosen)])


def _families(shop: Shop) -> int:
    return shop.count(280)


def _queries(shop: Shop) -> Iterator[tuple[int, str, Query, list[Product], Draw]]:
    for family in range(_families(shop)):
        locale, products = shelf(shop, family)
        numbers = range(family * FAMILY, (family + 1) * FAMILY)
        draws = [Draw(shop.seed, "query", number) for number in numbers]
        first = draw_query(products, draws[0])
        more = narrowed(first, products, draws[1])
        others = draw_query(products, draws[2]), draw_query(products, draws[3], partner=True)
        for number, query, draw in zip(numbers, (first, more, *others), draws, strict=True):
            yield number, locale, query, judged(query, products, draw), draw


def _example_rows(shop: Shop) -> Iterator[tuple[int | str, ...]]:
    for number, locale, query, products, draw in _queries(shop):
        text, small = query.text(LANGUAGE[locale]), int(draw.chance(60))
        split = "test" if draw.chance(20) else "train"
        for place, product in enumerate(products):
            yield number * MOST + place, text, number, product.id, locale, query.label(product), small, 1, split


def _points(shop: Shop, item: Product, lang: int) -> list[str]:
    """Its bullet points; those on an attribute name the product, as sellers do, so that one can tell whose they are."""
    attributes, whose = {f"{name}: {value}" for name, value in details(item).items()}, item.kind.names[lang]
    lines = bullets(shop.catalogue, item, lang)
    return [f"{item.brand} {whose} - {line}" if line in attributes else line for line in lines]


def _product_rows(shop: Shop) -> Iterator[tuple[str | None, ...]]:
    for family in range(_families(shop)):
        locale, products = shelf(shop, family)
        lang = LANGUAGE[locale]
        for place, item in enumerate(products):
            draw = Draw(shop.seed, "shelf row", family * SHELF + place)
            yield (
                item.id,
                title(shop.catalogue, item, lang),
                description(shop.catalogue, item, lang, draw.between(2, 4)) if draw.chance(70) else None,
                "\n".join(_points(shop, item, lang)) if draw.chance(85) else None,
                item.brand if draw.chance(95) else None,
                item.color[lang] if item.color and draw.chance(85) else None,
                locale,
            )


def tables(shop: Shop) -> list[Table]:
    families, file = _families(shop), "esci/shopping_queries_dataset_{}.parquet"
    examples = partial(parquet_file, columns=_EXAMPLE, integers=_INTEGERS)
    products = partial(parquet_file, columns=_PRODUCT)
    return [
        Table(file.format("examples"), families * FAMILY * 12, _example_rows(shop), examples),
        Table(file.format("products"), families * SHELF, _product_rows(shop), products),
    ]
