"""Explanations of product types: the seed has a type and a product of it, and lacks the explanation."""

from __future__ import annotations

import re
from collections import Counter

from dataset_builders.synthesis.declare import Form, Seed, Seeds, Synthesis, Text, Unfit
from dataset_builders.synthesis.rules import counted, in_language
from dataset_builders.synthesis.tasks._common import TITLE, ask, wanted_products
from dataset_builders.task import Questions, RawData, Seeded
from dataset_builders.tasks._common import one_line, words

_OF_ONE_TYPE = 12  # products that one type is explained beside
_PITCH = re.compile(r"\b(?:you|your|our|we|us|i|my|this product|buy|best|perfect)\b|[!$€®™]", re.I)


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
    text = in_language(counted(one_line(answer.explanation), 6, 45, "explanation"), "English")
    if not text.endswith(".") or ". " in text.rstrip("."):
        raise Unfit("not one sentence", "the explanation must be one sentence that ends with a full stop")
    if found := _PITCH.search(text):
        raise Unfit("a sales pitch", f"{found[0]!r} sells; say what the product type is")
    if not words(text) - words(seed.fields["product_type"]):
        raise Unfit("says nothing new", "the explanation only repeats the name")
    yield ask(seed, {key: seed.fields[key] for key in ("product_type", "example")}, text)


synthesis = Synthesis(__name__, Explanation, _seeds, _questions, tokens=150)
