"""Questions on facts that a title tells, or does not: constructed from the title and what else is known."""

from __future__ import annotations

from typing import Annotated

from dataset_builders.synthesis.declare import Form, Seed, Seeds, Short, Synthesis, exactly
from dataset_builders.synthesis.rules import absent, counted, different, within
from dataset_builders.synthesis.tasks._common import TITLE, ask, rng_of, wanted_products
from dataset_builders.task import Questions, RawData, Seeded
from dataset_builders.tasks._common import one_line, placed
from dataset_builders.tasks._details import facts
from dataset_builders.tasks.product_fact_question import CANNOT

_FACTS = 8
_CANNOT_SHARE = 5  # one in so many questions cannot be answered


class Fact(Form):
    attribute: Short
    values: Annotated[list[Short], exactly(3)]


def _seeds(raw: RawData, seeded: Seeded) -> Seeds:
    for entity, product, _ in wanted_products(raw, seeded):
        known = {fact.name: fact.value for fact, _ in zip(facts(product), range(_FACTS), strict=False)}
        told = "no" if seeded.digest(f"told {entity}") % _CANNOT_SHARE == 0 else "yes"
        fields = {"title": one_line(product.title, TITLE), "facts": known, "title_tells_it": told}
        yield Seed(entity, fields, "")


def _questions(seed: Seed, answer: Fact) -> Questions:
    title, told = seed.fields["title"], seed.fields["title_tells_it"] == "yes"
    attribute = counted(one_line(answer.attribute), 1, 4, "attribute").lower()
    different([*answer.values, CANNOT])
    right, *wrong = answer.values
    right = within(right, title, "title") if told else right
    absent(wrong if told else answer.values, title, "title")
    options, (place,) = placed(rng_of(seed), [right], wrong)
    fields = {"title": title, "attribute": attribute, "options": [*options, CANNOT]}
    yield ask(seed, fields, place if told else len(options))


synthesis = Synthesis(__name__, Fact, _seeds, _questions, tokens=100)
