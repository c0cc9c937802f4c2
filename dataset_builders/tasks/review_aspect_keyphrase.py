"""The one short phrase of a review that speaks of a given aspect.

https://amazon-reviews-2023.github.io
amazon_reviews/raw/review_categories/{Cat}.jsonl, product types from meta_categories (invented, shortened):

    {"text": "Came in a plain bag. It is very light and I take it along.", "parent_asin": "B0EXAMPLE7", ...}
    {"categories": ["Sports & Outdoors", "Camping", "Lanterns"], "parent_asin": "B0EXAMPLE7", ...}
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dataset_builders.sources import amazon_reviews
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._aspects import Phrase, fitting, keyphrase, kin, phrases
from dataset_builders.tasks._common import lines, one_line, product_entity
from dataset_builders.tasks._product_types import types_of

_SHORTEST, _LONGEST = 40, 800  # characters of a review
_WORDS = range(1, 7)  # of a keyphrase


@task(type=TaskType.GENERATION, source="amazon_reviews", track=1, llm="construct", quotes=("review",))
def build(raw: RawData, seeded: Seeded) -> Questions:
    for category in amazon_reviews.categories(raw):
        types = types_of(raw, category)
        for review in amazon_reviews.reviews(raw, category):
            product, key = review.parent_asin, review.key
            if product not in types or not seeded.wants(product_entity(product), key):
                continue
            text = lines(review.text, _LONGEST)
            if len(text) >= _SHORTEST and (telling := _telling(phrases(text), fitting(category, types[product]))):
                phrase = seeded.rng(f"{product}:{key}").choice(telling)
                fields = {"product_type": types[product], "review": one_line(text), "aspect": phrase.about[0]}
                yield Question(product_entity(product), fields, keyphrase(phrase), key=key)


def _telling(found: Sequence[Phrase], fits: Collection[str]) -> list[Phrase]:
    """Those that judge one fitting aspect in few words, and nothing else in the review speaks of it or of one close."""
    return [
        phrase
        for phrase in found
        if phrase.verdict
        and len(phrase.about) == len(phrase.touched) == 1
        and phrase.about[0] in fits
        and len(keyphrase(phrase).split()) in _WORDS
        and not any(kin(phrase.about[0]) & other.touched for other in found if other is not phrase)
    ]
