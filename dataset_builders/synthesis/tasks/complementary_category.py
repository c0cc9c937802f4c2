"""Which category complements a product type: chosen from a list where purchases say nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from dataset_builders.raw import RawData
from dataset_builders.sources import amazon_reviews
from dataset_builders.synthesis.declare import Answer, Seed, Short, Synthesis, exactly
from dataset_builders.synthesis.rules import among, different
from dataset_builders.synthesis.tasks._common import TITLE, multiple_choice
from dataset_builders.task import Question, Seeded
from dataset_builders.tasks._common import one_line, product_entity
from dataset_builders.tasks._product_types import Tree, path_of

_CANDIDATES, _LEAST = 12, 6


class Complement(Answer):
    complement: Short
    unrelated: Annotated[list[Short], exactly(3)]


def _seeds(raw: RawData, seeded: Seeded) -> Iterator[Seed]:
    for category in amazon_reviews.categories(raw):
        tree = Tree(filter(None, map(path_of, amazon_reviews.products(raw, category))))
        for product in amazon_reviews.products(raw, category):
            entity = product_entity(product.parent_asin)
            if (path := path_of(product)) and seeded.wants(entity):
                candidates = tree.near(seeded.rng(entity), path, _CANDIDATES)
                if len(candidates) >= _LEAST:
                    fields = {"product_type": path[-1], "example": one_line(product.title, TITLE)}
                    yield Seed(entity, fields | {"candidates": sorted(candidates)}, "")


def _questions(seed: Seed, answer: Complement) -> Iterator[Question]:
    candidates = seed.fields["candidates"]
    right, *wrong = (among(name, candidates, "candidates") for name in (answer.complement, *answer.unrelated))
    different([right, *wrong])
    yield multiple_choice(seed, {key: seed.fields[key] for key in ("product_type", "example")}, right, wrong)


synthesis = Synthesis(__name__, Complement, _seeds, _questions, tokens=100)
