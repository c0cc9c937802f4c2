"""Five reviews of one product, to be ranked by how many customers found them helpful.

https://amazon-reviews-2023.github.io
amazon_reviews/raw/review_categories/{Cat}.jsonl (invented, shortened):

    {"text": "After a year the hinge is still tight; mind the sharp edge.", "helpful_vote": 14, ...}
"""

from __future__ import annotations

import math

from dataset_builders.sources import amazon_reviews
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import one_line, product_entity

_LISTED = 5
_SHORTEST, _LONGEST = 20, 500  # characters of a review
_WAITING = 50_000  # products whose reviews are gathered at a time; the one that waited longest goes first


@task(type=TaskType.RANKING, source="amazon_reviews", track=3)
def build(raw: RawData, seeded: Seeded) -> Questions:
    for category in amazon_reviews.categories(raw):
        # Product -> votes -> review. One review a number of votes: there is one right order to learn.
        waiting: dict[str, dict[int, str]] = {}
        for review in amazon_reviews.reviews(raw, category):
            text = one_line(review.text, _LONGEST)
            if len(text) < _SHORTEST:
                continue
            raw.heard += 1  # it waits for others
            product = review.parent_asin
            gathered = waiting.setdefault(product, {})
            if text not in gathered.values():
                gathered.setdefault(review.helpful_vote, text)
            if len(gathered) == _LISTED:
                yield _question(product, waiting.pop(product), seeded)
            elif len(waiting) > _WAITING:
                del waiting[next(iter(waiting))]


def _question(product: str, gathered: dict[int, str], seeded: Seeded) -> Question:
    """Weights are votes on a logarithmic scale from 0 to 1: nDCG raises 2 to them, and votes reach 10,000."""
    rows = sorted(gathered.items())
    seeded.rng(f"{product}:{rows}").shuffle(rows)
    top = math.log1p(max(gathered))
    weights = [round(math.log1p(votes) / top, 4) for votes, _ in rows]
    return Question(product_entity(product), {"items": [text for _, text in rows]}, weights)
