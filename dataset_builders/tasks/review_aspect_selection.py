"""Three of ten aspects that a review covers.

https://amazon-reviews-2023.github.io
amazon_reviews/raw/review_categories/{Cat}.jsonl, product types from meta_categories (invented, shortened):

    {"text": "Bright, and it weighs nothing. The handle got hot though.", "parent_asin": "B0EXAMPLE7", ...}
    {"categories": ["Sports & Outdoors", "Camping", "Lanterns"], "parent_asin": "B0EXAMPLE7", ...}
"""

from __future__ import annotations

import random
from collections.abc import Collection

from dataset_builders.sources import amazon_reviews
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._aspects import Phrase, aspects, fitting, kin, phrases
from dataset_builders.tasks._common import Recent, distinct, lines, one_line, product_entity, retrieval
from dataset_builders.tasks._product_types import types_of

_RIGHT, _WRONG = 3, 7
_NEAR = 4  # of the wrong ones come from other reviews of the category
_LONGEST = 800  # characters of a review
_SHORT = 6  # words of a clause


@task(type=TaskType.RETRIEVAL, source="amazon_reviews", track=1, llm="construct", quotes=("review",))
def build(raw: RawData, seeded: Seeded) -> Questions:
    for category in amazon_reviews.categories(raw):
        types = types_of(raw, category)
        recent: Recent[str] = Recent()
        for review in amazon_reviews.reviews(raw, category):
            product, key = review.parent_asin, review.key
            if product not in types:
                continue
            # Reading a review for its aspects is what costs: one in four is enough to know what people write about.
            wanted, remembered = seeded.wants(product_entity(product), key), seeded.digest(f"{product}:{key}") % 4 == 0
            if not (wanted or remembered):
                continue
            text = lines(review.text, _LONGEST)
            found, fits = phrases(text), fitting(category, types[product])
            covered = distinct(phrase.about[0] for phrase in found if _covers(phrase, fits))
            if wanted and len(covered) >= _RIGHT:
                rng = seeded.rng(f"{product}:{key}")
                wrong = _uncovered(rng, {aspect for phrase in found for aspect in phrase.touched}, recent)
                if len(wrong) == _WRONG:
                    fields, right = (
                        {"product_type": types[product], "review": one_line(text)},
                        rng.sample(covered, _RIGHT),
                    )
                    yield retrieval(rng, product_entity(product), fields, right, wrong, key=key)
            for aspect in covered if remembered else ():
                recent.add(aspect)


def _covers(phrase: Phrase, fits: Collection[str]) -> bool:
    """A long clause without an opinion may name an aspect by the way."""
    return (
        len(phrase.about) == 1
        and phrase.about[0] in fits
        and (phrase.verdict != 0 or len(phrase.text.split()) <= _SHORT)
    )


def _uncovered(rng: random.Random, touched: Collection[str], recent: Recent[str]) -> list[str]:
    """Aspects that the review does not speak of, nor of any that is close to them."""
    close = {near for aspect in touched for near in kin(aspect)}
    drawn = [aspect for aspect in distinct(recent.sample(rng, 10 * _NEAR)) if aspect not in close][:_NEAR]
    others = [aspect for aspect in aspects() if aspect not in close and aspect not in drawn]
    return drawn + rng.sample(others, min(len(others), _WRONG - len(drawn)))
