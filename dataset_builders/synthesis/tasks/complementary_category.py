"""Which category complements a product type: chosen from a list where purchases say nothing."""

from __future__ import annotations

from typing import Annotated

from dataset_builders.synthesis.declare import Form, Seed, Seeds, Short, Synthesis, exactly
from dataset_builders.synthesis.rules import among, different
from dataset_builders.synthesis.tasks._common import TITLE, multiple_choice, wanted_among_neighbours
from dataset_builders.task import Questions, RawData, Seeded
from dataset_builders.tasks._common import one_line

_CANDIDATES, _LEAST = 12, 6


class Complement(Form):
    complement: Short
    unrelated: Annotated[list[Short], exactly(3)]


def _seeds(raw: RawData, seeded: Seeded) -> Seeds:
    for entity, product, path, candidates in wanted_among_neighbours(raw, seeded, _CANDIDATES):
        if len(candidates) >= _LEAST:
            fields = {"product_type": path[-1], "example": one_line(product.title, TITLE)}
            yield Seed(entity, fields | {"candidates": sorted(candidates)}, "")


def _questions(seed: Seed, answer: Complement) -> Questions:
    candidates = seed.fields["candidates"]
    right, *wrong = (among(name, candidates, "candidates") for name in (answer.complement, *answer.unrelated))
    different([right, *wrong])
    yield multiple_choice(seed, {key: seed.fields[key] for key in ("product_type", "example")}, right, wrong)


synthesis = Synthesis(__name__, Complement, _seeds, _questions, tokens=100)
