"""What the type of a listed product is, explained in a sentence; given its title and description.

https://www.aicrowd.com/challenges/amazon-kdd-cup-23-multilingual-recommendation-challenge
amazon_m2/products_train.csv (id, locale, title, ..., desc; invented, shortened):

    B0EXAMPLE1,UK,"Fernhill Camping Lantern, Green",...,"Our brightest one. A lantern is a lamp in a case that ..."

The table has no column for the type: without an LLM it is what the title calls the product and the description
defines. Whether an LLM named it, a row says by its columns ``template`` and ``model``.
"""

from __future__ import annotations

from dataset_builders.sources import amazon_m2
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import one_line, product_entity
from dataset_builders.tasks._definitions import definition
from dataset_builders.tasks._listing_types import ENGLISH, types_of

_TITLE, _DESCRIPTION = 250, 400  # characters


@task(type=TaskType.GENERATION, source="amazon_m2", track=1, llm="enrich")
def build(raw: RawData, seeded: Seeded) -> Questions:
    for row in amazon_m2.products(raw):
        entity = product_entity(row.id)
        if row.locale != ENGLISH or not row.desc or not seeded.wants(entity):
            continue
        text = one_line(row.desc)
        if found := next(filter(None, (definition(name, [text]) for name in types_of(row))), None):
            name, sentence = found
            rest = one_line(text.replace(sentence, ""), _DESCRIPTION)  # what is asked for does not stand there
            fields = {"title": one_line(row.title, _TITLE), "description": rest, "product_type": name}
            yield Question(entity, fields, sentence)
