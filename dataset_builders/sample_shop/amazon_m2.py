"""Amazon-M2: products in up to six locales under one id, and the sessions of visitors.

A session stays in its locale. Either it looks at one type of product and goes on with the same type, or it
collects things that go together and goes on with one more of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import combinations

from dataset_builders.sample_shop.catalogue import DE, EN, ES, FR, IT, JA
from dataset_builders.sample_shop.draws import Draw
from dataset_builders.sample_shop.tables import Shop, Table, csv_file
from dataset_builders.sample_shop.words import Product, asin, description, stock, title

# In the order of the published file; below their share of the sessions in percent, the last three are small.
LOCALES = ("DE", "JP", "UK", "ES", "FR", "IT")
_LANGUAGE = {"DE": DE, "JP": JA, "UK": EN, "ES": ES, "FR": FR, "IT": IT}
_SHARE = ("DE",) * 30 + ("JP",) * 27 + ("UK",) * 28 + ("ES",) * 5 + ("FR",) * 5 + ("IT",) * 5
# What 1.00 of the shop's money costs there.
_RATE = {"DE": 1.1, "JP": 160.0, "UK": 1.0, "ES": 1.12, "FR": 1.13, "IT": 1.11}
_MARKETS = tuple(frozenset(some) for size in range(2, 7) for some in combinations(LOCALES, size))
_MASK = (1 << 64) - 1
_PRODUCT = ("id", "locale", "title", "price", "brand", "color", "size", "model", "material", "author", "desc")
_SESSION = ("prev_items", "next_item", "locale")
_PER_LINE = 5  # ids of 10 characters that numpy prints on a line of 75


def markets(shop: Shop, index: int) -> frozenset[str]:
    """The locales that sell product ``index``, 2 to 6 of them."""
    # The finalizer of splitmix64: a third of the time of a hash, and it is asked for again and again.
    code = (index + 1 + shop.seed * 0x632BE59BD9B4E019) * 0x9E3779B97F4A7C15 & _MASK
    code = (code ^ (code >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    code = (code ^ (code >> 27)) * 0x94D049BB133111EB & _MASK
    return _MARKETS[(code ^ (code >> 31)) % len(_MARKETS)]


def printed(ids: list[str]) -> str:
    """``str(numpy.array(ids))`` without numpy: no commas, and lines of at most 75 characters."""
    lines = [ids[start : start + _PER_LINE] for start in range(0, len(ids), _PER_LINE)]
    return "[" + "\n ".join(" ".join(f"'{id}'" for id in line) for line in lines) + "]"


def _product_rows(shop: Shop) -> Iterator[tuple[str | float | None, ...]]:
    catalogue = shop.catalogue
    for locale in LOCALES:
        lang, rate = _LANGUAGE[locale], _RATE[locale]
        for index in range(shop.products):
            if locale not in markets(shop, index):
                continue
            item = stock(catalogue, shop.seed, index)
            draw = Draw(shop.seed, f"listing {locale}", index)
            # Sellers leave fields empty; what they fill in is as in the title.
            yield (
                item.id,
                locale,
                title(catalogue, item, lang),
                round(item.cents * rate) / 100 if locale != "JP" else float(round(item.cents * rate / 100)),
                item.brand if draw.chance(95) else None,
                item.color[lang] if item.color and draw.chance(85) else None,
                item.size[lang] if item.size and draw.chance(75) else None,
                item.model if draw.chance(60) else None,
                item.material[lang] if item.material and draw.chance(75) else None,
                item.author,
                _described(shop, item, lang, draw) if draw.chance(90) else None,
            )


def _described(shop: Shop, item: Product, lang: int, draw: Draw) -> str:
    """One to three sentences; an English one may say what such a thing is."""
    text = description(shop.catalogue, item, lang, draw.between(1, 3))
    return f"{text} {item.kind.about}" if lang == EN and draw.chance(40) else text


def _total(shop: Shop) -> int:
    return sum(len(markets(shop, index)) for index in range(shop.products))


def _find(shop: Shop, locale: str, kind: int, draw: Draw, seen: list[int]) -> int | None:
    """A product of that type that is sold there and not yet ``seen``; None if there seems to be none."""
    for _ in range(24):
        index = shop.any_of(kind, draw)
        if index not in seen and locale in markets(shop, index):
            return index
    return None


def _session(shop: Shop, draw: Draw) -> tuple[str, str, str] | None:
    types = shop.catalogue.types
    locale = draw.pick(_SHARE)
    first = draw.pick(types)
    together = draw.chance(50)
    length = draw.between(3, 6) + (draw.between(1, 8) if draw.chance(15) else 0)
    wanted = [first.index, *first.goes_with] if together else [first.index]
    items: list[int] = []
    for step in range(length):
        kind = wanted[step % len(wanted)] if together else first.index
        found = _find(shop, locale, kind, draw, items)
        if found is not None:
            items.append(found)
    if len(items) < 3:  # two seen and one next, the least that is published
        return None
    ids = [asin(index) for index in items]
    return printed(ids[:-1]), ids[-1], locale


def _session_rows(shop: Shop) -> Iterator[tuple[str, str, str]]:
    for number in range(shop.count(1_500)):
        row, attempt = None, 0
        while row is None:  # a small shop may sell too few things of a type in a small country
            row = _session(shop, Draw(shop.seed, f"session {attempt}", number))
            attempt += 1
        yield row


def tables(shop: Shop) -> list[Table]:
    products, sessions = partial(csv_file, header=_PRODUCT), partial(csv_file, header=_SESSION)
    return [
        Table("amazon_m2/products_train.csv", _total(shop), _product_rows(shop), products),
        Table("amazon_m2/sessions_train.csv", shop.count(1_500), _session_rows(shop), sessions),
    ]
