"""Explanations of product types: the seed has a type and a product of it, and lacks the explanation."""

from __future__ import annotations

from collections import Counter

from dataset_builders.synthesis.declare import Form, Seed, Seeds, Synthesis, Text
from dataset_builders.synthesis.tasks._common import TITLE, ask, explained, wanted_products
from dataset_builders.task import Questions, RawData, Seeded
from dataset_builders.tasks._common import one_line

_OF_ONE_TYPE = 12  # products that one type is explained beside


class Explanation(Form):
    explanation: Text


def _seeds(raw: RawData, seeded: Seeded) -> Seeds:
    told: Counter[str] = Counter()
    for entity, product, path in wanted_products(raw, seeded):
        told[path[-1]] += 1
        if told[path[-1]] <= _OF_ONE_TYPE:
            example = one_line(product.title, TITLE)
            fields = {"product_type": path[-1], "categories": list(path), "example": example}
            yield Seed(entity, fields, "")


def _questions(seed: Seed, answer: Explanation) -> Questions:
    text = explained(answer.explanation, seed.fields["product_type"])
    yield ask(seed, {"product_type": seed.fields["product_type"]}, text)


synthesis = Synthesis(__name__, Explanation, _seeds, _questions, tokens=150)
