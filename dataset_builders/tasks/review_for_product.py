"""Which of four reviews was written for a product.

https://amazon-reviews-2023.github.io
amazon_reviews/raw/review_categories/{Cat}.jsonl, titles from meta_categories (invented, shortened):

    {"text": "The tray fits my drawer and the bamboo has no splinters.", "parent_asin": "B0EXAMPLE1"}
    {"title": "Bamboo Drawer Tray", "parent_asin": "B0EXAMPLE1"}
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from dataset_builders.held_out import held_out
from dataset_builders.sources import amazon_reviews
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import Recent, multiple_choice, one_line, product_entity, words
from dataset_builders.tasks._lexicon import COLORS, NO_TYPE

_WRONG = 3
_SHORTEST, _LONGEST = 40, 500  # characters of a review


@lru_cache(maxsize=10_000)  # a product has many reviews
def _named(title: str) -> frozenset[str]:
    """The words that name it; of what colour or size it is and for whom, any review may speak."""
    return frozenset(_told(words(title) - COLORS - NO_TYPE))


def _told(found: set[str]) -> set[str]:
    """Earrings are told by a review of an earring."""
    return {word.removesuffix("s") for word in found}


class _Other(NamedTuple):
    entity: str
    text: str
    words: set[str]


@task(type=TaskType.MULTIPLE_CHOICE, source="amazon_reviews", track=3)
def build(raw: RawData, seeded: Seeded) -> Questions:
    for category in amazon_reviews.categories(raw):
        # The join holds the titles of one category (4 million in the largest). Wrong reviews come from the
        # same category, so that they cannot be told apart by the department, and from the question's own side.
        titles = {row.parent_asin: one_line(row.title) for row in amazon_reviews.products(raw, category)}
        sides: tuple[Recent[_Other], ...] = (Recent(), Recent())
        for review in amazon_reviews.reviews(raw, category):
            product, text = review.parent_asin, one_line(review.text, _LONGEST)
            entity, key = product_entity(product), review.key
            named = _named(titles.get(product, ""))
            # "Great, works well" fits everything: a review must share a word with its product's title, and
            # the wrong ones few beside it, or two reviews of two kettles could change places.
            told = _told(words(text))
            shared = len(told & named)
            if len(text) < _SHORTEST or not shared:
                continue
            recent = sides[held_out(entity)]
            if seeded.wants(entity, key):
                rng = seeded.rng(f"{product}:{key}")
                drawn = {
                    other.text: other.entity
                    for other in recent.sample(rng, 4 * _WRONG)
                    if other.entity != entity and 2 * len(other.words & named) < shared
                }
                wrong = list(drawn)[:_WRONG]
                if len(wrong) == _WRONG:
                    fields, also = {"title": titles[product]}, [drawn[other] for other in wrong]
                    yield multiple_choice(rng, entity, fields, text, wrong, also, key)
            recent.add(_Other(entity, text, told))
