"""Attributes that products of a category have and those of its neighbours lack: the seed has a product, no fields."""

from __future__ import annotations

from dataset_builders.synthesis.declare import Form, Seed, Seeds, Short, Synthesis, Unfit
from dataset_builders.synthesis.rules import counted, related
from dataset_builders.synthesis.tasks._common import TITLE, listing, multiple_choice, wanted_among_neighbours
from dataset_builders.task import Questions, RawData, Seeded
from dataset_builders.tasks._common import one_line

_WRONG, _AMONG = 3, 12


class Attribute(Form):
    attribute: Short


def _seeds(raw: RawData, seeded: Seeded) -> Seeds:
    for entity, product, path, others in wanted_among_neighbours(raw, seeded, _WRONG, among=_AMONG):
        if len(others) == _WRONG:
            fields = {"category": path[-1], "other_categories": others}
            fields |= {"product": one_line(product.title, TITLE), "listing": listing(product)}
            yield Seed(entity, fields, "")


def _questions(seed: Seed, answer: Attribute) -> Questions:
    attribute = counted(one_line(answer.attribute), 1, 4, "attribute")
    if any(related(attribute, name) for name in (seed.fields["category"], *seed.fields["other_categories"])):
        raise Unfit("names a category", f"{attribute!r} holds a word of a category's name, which gives it away")
    if any(map(str.isdigit, attribute)):
        raise Unfit("a value, no attribute", f"{attribute!r} is a value; give the name of the field")
    yield multiple_choice(seed, {"attribute": attribute}, seed.fields["category"], seed.fields["other_categories"])


synthesis = Synthesis(__name__, Attribute, _seeds, _questions, tokens=40)
