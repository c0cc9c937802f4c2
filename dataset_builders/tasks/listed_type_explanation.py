"""What the type of a listed product is, explained in a sentence; given its title and description.

https://www.aicrowd.com/challenges/amazon-kdd-cup-23-multilingual-recommendation-challenge
amazon_m2/products_train.csv (id, locale, title, ..., desc; invented, shortened):

    B0EXAMPLE1,UK,"Fernhill Camping Lantern, Green",...,"Our brightest one. A lantern is a lamp in a case that ..."

The table has no column for the type: without an LLM it is what the title calls the product, and explained as some
description defines it. Whether an LLM named it, a row says by its columns ``template`` and ``model``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from dataset_builders.sources import amazon_m2
from dataset_builders.sources.amazon_m2 import Product
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import one_line, product_entity
from dataset_builders.tasks._definitions import definition
from dataset_builders.tasks._listing_types import ENGLISH, types_of

_TITLE, _DESCRIPTION = 250, 400  # characters
_OF_ONE_TYPE = 60  # products: few types are defined, and all that are called so may be asked about


@task(type=TaskType.GENERATION, source="amazon_m2", track=1, llm="enrich")
def build(raw: RawData, seeded: Seeded) -> Questions:
    defined = _defined(raw)
    asked: Counter[str] = Counter()
    for row in _english(raw):
        name = next((name for name in types_of(row) if name in defined), "")
        asked[name] += 1
        if name and asked[name] <= _OF_ONE_TYPE and seeded.wants(entity := product_entity(row.id)):
            # What is asked for does not stand there.
            description = one_line(one_line(row.desc).replace(defined[name], ""), _DESCRIPTION)
            fields = {"title": one_line(row.title, _TITLE), "description": description, "product_type": name}
            yield Question(entity, fields, defined[name])


def _english(raw: RawData) -> Iterator[Product]:
    return (row for row in amazon_m2.products(raw) if row.locale == ENGLISH)


def _defined(raw: RawData) -> dict[str, str]:
    """Type -> the first definition in a description of a product whose title calls it so."""
    found: dict[str, str] = {}
    for row in _english(raw):
        names = types_of(row) if row.desc else []
        told = next(((name, told[1]) for name in names if (told := definition(name, [row.desc]))), None)
        if told:
            found.setdefault(*told)
    return found
