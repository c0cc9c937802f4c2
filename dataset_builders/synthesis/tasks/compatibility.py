"""Whether a part fits a device, as its listing states in words of its own: constructed from the listing."""

from __future__ import annotations

import re
from typing import Annotated

from dataset_builders.synthesis.declare import Form, Seed, Seeds, Short, Synthesis, Text, exactly
from dataset_builders.synthesis.rules import absent, counted, different, within
from dataset_builders.synthesis.tasks._common import TITLE, listing, multiple_choice, wanted_products
from dataset_builders.task import Questions, RawData, Seeded
from dataset_builders.tasks._common import one_line

_MAY_FIT = re.compile(
    r"\b(?:fits?|compatible|compatibility|works? with|replacement for|designed for|for use with)\b", re.I
)


class Fit(Form):
    statement: Text
    fits: Short
    does_not_fit: Annotated[list[Short], exactly(3)]


def _seeds(raw: RawData, seeded: Seeded) -> Seeds:
    for entity, product, _ in wanted_products(raw, seeded):
        title, text = one_line(product.title, TITLE), listing(product)
        if _MAY_FIT.search(f"{title} {text}"):
            yield Seed(entity, {"title": title, "listing": text}, "")


def _questions(seed: Seed, answer: Fit) -> Questions:
    title, text = seed.fields["title"], f"{seed.fields['title']} \n {seed.fields['listing']}"
    statement = within(answer.statement.rstrip("."), text, "listing")
    counted(statement, 2, 40, "statement")
    device = within(answer.fits, statement, "statement")
    different([device, *answer.does_not_fit])
    absent(answer.does_not_fit, text, "listing")
    for name in (device, *answer.does_not_fit):
        counted(name, 1, 6, "device")
    shown = "" if statement in title else statement
    yield multiple_choice(seed, {"title": title, "statement": shown}, device, answer.does_not_fit)


synthesis = Synthesis(__name__, Fit, _seeds, _questions, tokens=200)
