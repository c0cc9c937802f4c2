"""The type of a product of Amazon-M2, and what it is: the seed has a title and a description, and lacks both."""

from __future__ import annotations

from dataset_builders.sources import amazon_m2
from dataset_builders.synthesis.declare import Form, Seed, Seeds, Short, Synthesis, Text
from dataset_builders.synthesis.rules import counted
from dataset_builders.synthesis.tasks._common import TEXT, TITLE, ask, explained
from dataset_builders.task import Questions, RawData, Seeded
from dataset_builders.tasks._common import one_line, product_entity
from dataset_builders.tasks._listing_types import ENGLISH


class Explanation(Form):
    product_type: Short
    explanation: Text


def _seeds(raw: RawData, seeded: Seeded) -> Seeds:
    for row in amazon_m2.products(raw):
        title, description = one_line(row.title, TITLE), one_line(row.desc, TEXT)
        if row.locale == ENGLISH and title and description and seeded.wants(product_entity(row.id)):
            yield Seed(product_entity(row.id), {"title": title, "description": description}, "")


def _questions(seed: Seed, answer: Explanation) -> Questions:
    name = counted(one_line(answer.product_type), 1, 4, "product type")
    yield ask(seed, {**seed.fields, "product_type": name}, explained(answer.explanation, name))


synthesis = Synthesis(__name__, Explanation, _seeds, _questions, tokens=170)
