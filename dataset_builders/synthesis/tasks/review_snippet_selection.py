"""Snippets of reviews: from one that a customer wrote, others that say the same, the opposite, and something else."""

from __future__ import annotations

from typing import Annotated

from dataset_builders.synthesis.declare import Form, Seed, Seeds, Short, Synthesis, Unfit, exactly
from dataset_builders.synthesis.rules import counted, different, in_language
from dataset_builders.synthesis.tasks._common import REVIEW, retrieval
from dataset_builders.task import Questions, RawData, Seeded
from dataset_builders.tasks._aspects import kin, phrases
from dataset_builders.tasks._common import one_line, product_entity
from dataset_builders.tasks._product_types import typed_reviews

_SENTIMENTS = {1: "positive", -1: "negative"}


class Snippets(Form):
    same: Annotated[list[Short], exactly(2)]
    opposite: Annotated[list[Short], exactly(3)]
    other_aspects: Annotated[list[Short], exactly(9)]


def _seeds(raw: RawData, seeded: Seeded) -> Seeds:
    for review, type in typed_reviews(raw):
        entity = product_entity(review.parent_asin)
        if review.rating == 3 or not seeded.wants(entity, review.key):
            continue
        verdict = 1 if review.rating > 3 else -1
        for phrase in phrases(one_line(review.text, REVIEW)):
            on_one = len(phrase.about) == len(phrase.touched) == 1
            if phrase.verdict == verdict and on_one and 1 < len(phrase.text.split()) <= 10:
                fields = {"product_type": type, "aspect": phrase.about[0]}
                fields |= {"sentiment": _SENTIMENTS[verdict], "snippet": phrase.text}
                yield Seed(entity, fields, "", key=review.key)
                break


def _questions(seed: Seed, answer: Snippets) -> Questions:
    right = [seed.fields["snippet"], *answer.same]
    wrong = [*answer.opposite, *answer.other_aspects]
    different([*right, *wrong])
    for snippet in (*answer.same, *wrong):
        in_language(counted(snippet, 2, 12, "snippet"), "English")
    aspect, verdict = seed.fields["aspect"], 1 if seed.fields["sentiment"] == "positive" else -1
    for snippet in answer.same:  # where the lexicon is sure, it must not say otherwise
        if any(phrase.verdict == -verdict and aspect in phrase.about for phrase in phrases(snippet)):
            raise Unfit("the opposite sentiment", f"{snippet!r} is not {seed.fields['sentiment']}")
    for snippet in answer.other_aspects:
        if any(kin(aspect) & phrase.touched for phrase in phrases(snippet)):
            raise Unfit("speaks of the aspect", f"{snippet!r} speaks of {aspect}; it belongs to other aspects")
    fields = {key: seed.fields[key] for key in ("product_type", "aspect", "sentiment")}
    yield retrieval(seed, fields, right, wrong)


synthesis = Synthesis(__name__, Snippets, _seeds, _questions, tokens=500)
