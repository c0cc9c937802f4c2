"""Brand, material, colour or size named in a product title; the truth comes from the columns.

https://www.aicrowd.com/challenges/amazon-kdd-cup-23-multilingual-recommendation-challenge
amazon_m2/products_train.csv (id, locale, title, price, brand, color, size, model, material, ...; invented):

    B0EXAMPLE1,UK,"Aldwick Oak Bread Board, Large",18.99,Aldwick,Brown,Large,AW-12,Oak,...
"""

from __future__ import annotations

import re

from dataset_builders.sources import amazon_m2
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import distinct, one_line, product_entity, spelled

_HALF = r"\d ?[-–—/] ?{0}|{0} ?[-–—/] ?\d"
_FOR = re.compile(r"\b(?:for|fits|compatible|für|kompatibel|pour|per|para)\b", re.I)  # "Case for Aldwick 5"
_TYPES = ("brand", "color", "material", "size")  # names of columns, and of entity types in the question


@task(type=TaskType.NER, source="amazon_m2", track=1, llm="enrich", quotes=("title",))
def build(raw: RawData, seeded: Seeded) -> Questions:
    for row in amazon_m2.products(raw):
        if not seeded.wants(product_entity(row.id), row.locale):
            continue
        title = one_line(row.title)
        found = {name: phrases for name in _TYPES if (phrases := _named(title, getattr(row, name)))}
        if "brand" in found and _FOR.search(title.partition(found["brand"][0])[0]):
            raw.lacking["whose brand may be that of what it is for"] += 1
            del found["brand"]
        if found:
            name = seeded.rng(f"{row.locale}:{row.id}").choice(sorted(found))
            yield Question(product_entity(row.id), {"title": title, "entity_type": name}, found[name], key=row.locale)


def _named(title: str, value: str) -> list[str]:
    """The parts of a column (``Black, Oak``) that the title names, as the title spells them; none that is half of one
    (35 of "31 - 35"), or the whole title."""
    parts = filter(lambda part: len(part) > 1, map(one_line, value.split(",")))
    named = distinct(phrase for part in parts if (phrase := spelled(part, title)))
    doubtful = any(phrase == title or re.search(_HALF.format(re.escape(phrase)), title) for phrase in named)
    return [] if doubtful else named
