"""Aspects that a review covers and others that it does not; each covered one with the words that say so."""

from __future__ import annotations

from typing import Annotated

from dataset_builders.synthesis.declare import Form, Seed, Short, Synthesis, Unfit, exactly
from dataset_builders.synthesis.rules import absent, counted, different, within
from dataset_builders.synthesis.tasks._common import retrieval, wanted_reviews
from dataset_builders.task import Questions
from dataset_builders.tasks._aspects import aspects, kin, phrases


class Covered(Form):
    aspect: Short
    quote: Short


class Aspects(Form):
    covered: Annotated[list[Covered], exactly(3)]
    not_covered: Annotated[list[Short], exactly(7)]


def _questions(seed: Seed, answer: Aspects) -> Questions:
    review, right = seed.fields["review"], [one.aspect.lower() for one in answer.covered]
    wrong = [aspect.lower() for aspect in answer.not_covered]
    different([*right, *wrong])
    different([within(one.quote, review, "review") for one in answer.covered])
    for aspect in (*right, *wrong):
        counted(aspect, 1, 4, "aspect")
    absent(wrong, review, "review")
    touched = {aspect for phrase in phrases(review) if phrase.verdict for aspect in phrase.touched}
    for aspect in wrong:
        if aspect in aspects() and kin(aspect) & touched:
            raise Unfit("is covered", f"the review does speak of {aspect}")
    yield retrieval(seed, dict(seed.fields), right, wrong)


synthesis = Synthesis(__name__, Aspects, wanted_reviews, _questions, tokens=300)
