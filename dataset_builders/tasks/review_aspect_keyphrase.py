"""The one short phrase of a review that speaks of a given aspect.

https://amazon-reviews-2023.github.io
amazon_reviews/raw/review_categories/{Cat}.jsonl, product types from meta_categories (invented, shortened):

    {"text": "Came in a plain bag. It is very light and I take it along.", "parent_asin": "B0EXAMPLE7", ...}
    {"categories": ["Sports & Outdoors", "Camping", "Lanterns"], "parent_asin": "B0EXAMPLE7", ...}
"""

from __future__ import annotations

from collections.abc import Sequence

from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._aspects import Phrase, kin, phrases
from dataset_builders.tasks._common import one_line, product_entity
from dataset_builders.tasks._product_types import typed_reviews

_SHORTEST, _LONGEST = 40, 800  # characters of a review
_WORDS = range(1, 9)  # of a phrase


@task(type=TaskType.GENERATION, source="amazon_reviews", track=1, llm="construct")
def build(raw: RawData, seeded: Seeded) -> Questions:
    for review, type in typed_reviews(raw):
        product, key = review.parent_asin, review.key
        if not seeded.wants(product_entity(product), key):
            continue
        text = one_line(review.text, _LONGEST)
        if len(text) >= _SHORTEST and (telling := _telling(phrases(text))):
            phrase = seeded.rng(f"{product}:{key}").choice(telling)
            fields = {"product_type": type, "review": text, "aspect": phrase.about[0]}
            yield Question(product_entity(product), fields, phrase.text, key=key)


def _telling(found: Sequence[Phrase]) -> list[Phrase]:
    """The short ones that judge one aspect, and nothing else in the review speaks of it or of one close to it."""
    return [
        phrase
        for phrase in found
        if phrase.verdict
        and len(phrase.about) == len(phrase.touched) == 1
        and len(phrase.text.split()) in _WORDS
        and not any(kin(phrase.about[0]) & other.touched for other in found if other is not phrase)
    ]
