"""Which of four descriptions in other languages is of the same product.

https://www.aicrowd.com/challenges/amazon-kdd-cup-23-multilingual-recommendation-challenge
amazon_m2/products_train.csv, ids that are sold in several countries (id, locale, title, ..., desc; invented):

    B0EXAMPLE1,UK,"Aldwick Oak Bread Board, Large",...,"Solid oak, oiled by hand."
    B0EXAMPLE1,DE,"Aldwick Brotbrett aus Eiche, groß",...,"Massive Eiche, von Hand geölt."
"""

from __future__ import annotations

import heapq
import random
import re
from collections import defaultdict
from itertools import groupby

from dataset_builders.held_out import held_out
from dataset_builders.sources import amazon_m2
from dataset_builders.sources.amazon_m2 import LOCALES, Product
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import Recent, digest, multiple_choice, one_line, product_entity, words
from dataset_builders.tasks._queries import KIND_FIRST, kind_of

_WRONG = 3
_SHORTEST, _LONGEST = 25, 300  # characters of a description
# Rows of the 1.4 million that are held in memory: every site of some ids, the same ids on every machine.
_MOST = 200_000
_ALIKE = 0.7  # share of words: variants of one product are described and named in the same words
_DRAWN = 6
_MARK = re.compile(r"\d+|[a-zß-ÿ]{4,}")  # what is written alike in two languages: numbers, names, "HDMI"
_Recent = defaultdict[tuple[str, bool, str], Recent[Product]]


@task(type=TaskType.MULTIPLE_CHOICE, source="amazon_m2", track=4, llm="construct")
def build(raw: RawData, seeded: Seeded) -> Questions:
    recent: _Recent = defaultdict(lambda: Recent(100))  # by site, side of the split, and brand, kind or "" for any
    # Markup may still go, hence twice the limit.
    cut = (row._replace(desc=row.desc[: 2 * _LONGEST]) for row in amazon_m2.products(raw) if len(row.desc) >= _SHORTEST)
    sample = heapq.nsmallest(_MOST, cut, key=lambda row: digest(row.id))
    for entity, rows in groupby(sample, key=lambda row: product_entity(row.id)):
        side = held_out(entity)
        sold = [row._replace(title=one_line(row.title, _LONGEST), desc=one_line(row.desc, _LONGEST)) for row in rows]
        rng = seeded.rng(entity)
        if len({row.locale for row in sold}) == len(sold) > 1 and seeded.wants(entity):
            given, right = rng.sample(sold, 2)
            wrong = _wrong(given, right, side, recent, rng)
            # Sellers leave texts untranslated: then both are in one language.
            if len(wrong) == _WRONG and not _alike(words(given.desc), words(right.desc)):
                fields, also = {"description": given.desc}, (product_entity(row.id) for row in wrong)
                yield multiple_choice(rng, entity, fields, right.desc, [row.desc for row in wrong], also)
        for row in sold:
            for key in _keys(row):
                recent[row.locale, side, key].add(row)


def _wrong(given: Product, right: Product, side: bool, recent: _Recent, rng: random.Random) -> list[Product]:
    """Three described in two languages, tossed for, so that the languages of the options do not tell the right one.
    In its own language they are of its brand or kind, as far as there are any."""
    other = rng.choice([locale for locale in LOCALES if locale not in (given.locale, right.locale)])
    marks, said, named = _marks(given), _words(right, right.desc), _words(right, right.title)
    least = max(1, len(marks & _marks(right)))

    def is_another(row: Product) -> bool:
        """It has less in common with the given description than the right one, and is no variant of the product."""
        if row.id in found or any(row.desc == one.desc for one in found.values()):
            return False
        if len(marks & _marks(row)) >= least:
            return False
        if row.locale == other:
            return row.brand.lower() != right.brand.lower()
        return not _alike(_words(row, row.desc), said) and not _alike(_words(row, row.title), named)

    found: dict[str, Product] = {}
    languages = ((_keys(right), right.locale), (("",), other))
    for _ in range(_WRONG):
        keys, locale = rng.choice(languages)
        drawn = (row for key in keys for row in recent[locale, side, key].sample(rng, _DRAWN))
        if row := next(filter(is_another, drawn), None):
            found[row.id] = row
    return [*found.values()]


def _keys(row: Product) -> tuple[str, ...]:
    """Brand, kind, and "" for any, under which a product is found again."""
    kind = kind_of(row).split()
    return tuple(dict.fromkeys((row.brand.lower(), kind[0 if row.locale in KIND_FIRST else -1] if kind else "", "")))


def _marks(row: Product) -> set[str]:
    return set(_MARK.findall(row.desc.lower()))


def _words(row: Product, text: str) -> set[str]:
    """In Japanese, where words are not set apart, any two letters."""
    return {text[at : at + 2] for at in range(len(text) - 1)} if row.locale == "JP" else words(text)


def _alike(one: set[str], other: set[str]) -> bool:
    return len(one & other) > _ALIKE * min(len(one), len(other))
