"""Keyphrases of reviews, beyond the aspects that a lexicon knows: constructed from the review."""

from __future__ import annotations

from dataset_builders.synthesis.declare import Form, Seed, Short, Synthesis, Unfit
from dataset_builders.synthesis.rules import counted, within
from dataset_builders.synthesis.tasks._common import ask, wanted_reviews
from dataset_builders.task import Questions
from dataset_builders.tasks._aspects import aspects, kin, phrases


class Keyphrase(Form):
    aspect: Short
    keyphrase: Short


def _questions(seed: Seed, answer: Keyphrase) -> Questions:
    phrase = within(answer.keyphrase, seed.fields["review"], "review")
    counted(phrase, 1, 9, "keyphrase")
    aspect = counted(answer.aspect, 1, 3, "aspect").lower()
    if aspect in phrase.lower():
        raise Unfit("names the aspect", f"{phrase!r} names the aspect itself; that is no question")
    if aspect in aspects():  # where the lexicon knows both, it must not say otherwise
        touched = {name for found in phrases(phrase) for name in found.touched}
        if touched and not touched & kin(aspect):
            raise Unfit("speaks of another aspect", f"{phrase!r} does not speak of {aspect}")
    yield ask(seed, {**seed.fields, "aspect": aspect}, phrase)


synthesis = Synthesis(__name__, Keyphrase, wanted_reviews, _questions, tokens=60)
