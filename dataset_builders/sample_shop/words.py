"""A product of the shop, and how it is written in each language: titles, descriptions, bullets.

Every text is put together from the same parts in each language, so that the translation of a title
follows from the translation of its parts.
"""

from __future__ import annotations

from typing import NamedTuple

from dataset_builders.sample_shop.catalogue import EN, JA, Catalogue, ProductType, Word
from dataset_builders.sample_shop.draws import Draw

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PAIRS = tuple(a + b for a in _DIGITS for b in _DIGITS)
_SERIES = tuple(a + b for a in "BCDFGKLMNPRSTVXZ" for b in "BCDFGKLMNPRSTVXZ")  # of model numbers
_ID_SPACE = 36**8
_ID_STEP = 1_299_709 * 1_000_003  # neither even nor a multiple of 3, so that no two indices share an id
_PACKS = (2, 3, 4, 6, 8, 10, 12, 24)


class Product(NamedTuple):
    """What a product is, before it has words. ``None`` where its type has no such property."""

    id: str
    kind: ProductType
    brand: str
    color: Word | None
    material: Word | None
    size: Word | None
    pack: int  # pieces in a pack, 1: sold singly
    feature: Word
    use: Word
    author: str | None
    topic: Word | None
    binding: Word | None
    model: str
    cents: int  # price, in hundredths


def asin(index: int, space: str = "B0") -> str:
    """A 10-character id in the style of the sources; one for each index below 36**8, in scrambled order."""
    code = (index * _ID_STEP + 7_919) % _ID_SPACE
    code, a = divmod(code, 1296)
    code, b = divmod(code, 1296)
    d, c = divmod(code, 1296)
    return f"{space}{_PAIRS[a]}{_PAIRS[b]}{_PAIRS[c]}{_PAIRS[d]}"


def draw_product(shop: Catalogue, kind: ProductType, id: str, draw: Draw) -> Product:
    """A product of that type with everything else drawn."""
    book = bool(kind.topics)
    return Product(
        id,
        kind,
        draw.pick(shop.brands),
        draw.pick(kind.colors) if kind.colors else None,
        draw.pick(kind.materials) if kind.materials else None,
        draw.pick(kind.sizes) if kind.sizes else None,
        draw.pick(_PACKS) if kind.packs and draw.chance(60) else 1,
        draw.pick(kind.features),
        draw.pick(kind.uses),
        draw.pick(shop.authors) if book else None,
        draw.pick(kind.topics) if book else None,
        draw.pick(shop.bindings) if book else None,
        f"{draw.pick(_SERIES)}-{draw.between(100, 989)}",
        draw.between(3, 149) * 100 + draw.pick((99, 95, 50, 49)),
    )


def stock(shop: Catalogue, seed: int, index: int) -> Product:
    """Product ``index`` of the shop: the same one in every source that sells or reviews it.

    Its type is ``index % len(types)``, so that products of a given type are found without a table of them.
    """
    kind = shop.types[index % len(shop.types)]
    return draw_product(shop, kind, asin(index), Draw(seed, "product", index))


def title(shop: Catalogue, product: Product, lang: int) -> str:
    """The product's title; ``lang`` is a place in ``LANGUAGES``."""
    words = _words(product, lang)
    if product.topic:
        text = shop.phrases["title_book"][lang].format(**words)
    elif product.material and product.color:
        text = shop.phrases["title"][lang].format(**words)
    else:
        text = f"{product.brand} {words['type']}"
    parts = [shop.pack[lang].format(n=product.pack)] if product.pack > 1 else []
    parts += [words["size"]] if product.size else []
    return (" " if lang == JA else ", ").join([text, *parts])


def sentences(shop: Catalogue, product: Product, lang: int) -> list[str]:
    """What a description says, in order: what it is made of, how it looks, a feature, a use."""
    words, feature = _words(product, lang), product.feature[lang]
    made = "made_book" if product.topic else "made" if product.material else "made_by"
    looks = ["look"] if product.color and product.size else []
    return [
        *(shop.phrases[phrase][lang].format(**words) for phrase in (made, *looks)),
        feature[0].upper() + feature[1:] + ("。" if lang == JA else "."),
        product.use[lang],
    ]


def _words(product: Product, lang: int) -> dict[str, str]:
    """What phrases put in."""
    translated = {name: getattr(product, name) for name in ("color", "material", "size", "topic", "binding")}
    words = {name: word[lang] for name, word in translated.items() if word}
    return {"type": product.kind.names[lang], "brand": product.brand, "author": product.author or "", **words}


def description(shop: Catalogue, product: Product, lang: int, count: int = 3) -> str:
    """The first ``count`` sentences as one text."""
    return ("" if lang == JA else " ").join(sentences(shop, product, lang)[:count])


def bullets(shop: Catalogue, product: Product, lang: int) -> list[str]:
    """A listing's feature bullets; in English they carry the attributes, which have no translation."""
    lines = sentences(shop, product, lang)
    if lang == EN:
        lines += [f"{name}: {value}" for name, value in details(product).items()]
    return lines


def details(product: Product) -> dict[str, str]:
    """The type's attributes with this product's values. The values follow from the model's number, so that
    they need no draw of their own and every source tells the same."""
    number = int(product.model[3:])
    out = {}
    for name, values in product.kind.attributes.items():
        number, place = divmod(number, len(values))
        out[name] = values[place]
    return out


def price_text(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"
