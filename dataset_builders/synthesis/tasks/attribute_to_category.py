"""The category of a product of Amazon-M2, and others that its attributes rule out: the seed lacks all of them."""

from __future__ import annotations

from typing import Annotated

from dataset_builders.sources import amazon_m2
from dataset_builders.synthesis.declare import Form, Seed, Seeds, Short, Synthesis, Unfit, exactly
from dataset_builders.synthesis.rules import counted, different
from dataset_builders.synthesis.tasks._common import TITLE, multiple_choice
from dataset_builders.task import Questions, RawData, Seeded
from dataset_builders.tasks._common import one_line, product_entity
from dataset_builders.tasks._judgements import stems
from dataset_builders.tasks._listing_types import ENGLISH
from dataset_builders.tasks.attribute_to_category import attributes


class Category(Form):
    category: Short
    ruled_out: Annotated[list[Short], exactly(3)]


def _seeds(raw: RawData, seeded: Seeded) -> Seeds:
    for row in amazon_m2.products(raw):
        told, title = attributes(row), one_line(row.title, TITLE)
        if row.locale == ENGLISH and len(told) > 1 and title and seeded.wants(product_entity(row.id)):
            yield Seed(product_entity(row.id), {"title": title, "attributes": told}, "")


def _questions(seed: Seed, answer: Category) -> Questions:
    told = seed.fields["attributes"]
    right, *wrong = names = [counted(one_line(name), 1, 4, "category") for name in (answer.category, *answer.ruled_out)]
    different(names)
    if not all(stems(right).isdisjoint(stems(other)) for other in wrong):
        raise Unfit("two categories are alike", f"one that is ruled out shares a word with {right!r}")
    if not stems(" ".join(names)).isdisjoint(stems(" ".join(told))):
        raise Unfit("names a category", "a word of an attribute stands in a category's name, which gives it away")
    yield multiple_choice(seed, {"attributes": told}, right, wrong)


synthesis = Synthesis(__name__, Category, _seeds, _questions, tokens=80)
