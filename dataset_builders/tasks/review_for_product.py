"""Which of four reviews was written for a product.

https://amazon-reviews-2023.github.io
amazon_reviews/raw/review_categories/{Cat}.jsonl, titles from meta_categories (invented, shortened):

    {"text": "The tray fits my drawer and the bamboo has no splinters.", "parent_asin": "B0EXAMPLE1"}
    {"title": "Bamboo Drawer Tray", "parent_asin": "B0EXAMPLE1"}
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dataset_builders.sources import amazon_reviews
from dataset_builders.task import Question, Seeded, task
from dataset_builders.tasks._common import Recent, distinct, one_line, placed, words
from recipe.task_types import TaskType

_WRONG = 3
_SHORTEST, _LONGEST = 40, 500  # characters of a review


@task(type=TaskType.MULTIPLE_CHOICE, source="amazon_reviews", track=3)
def build(raw: Path, seeded: Seeded) -> Iterator[Question]:
    for category in amazon_reviews.categories(raw):
        # The join holds the titles of one category (4 million in the largest). Wrong reviews come from the
        # same category, so that they cannot be told apart by the department.
        titles = {row.parent_asin: one_line(row.title) for row in amazon_reviews.products(raw, category)}
        recent: Recent[tuple[str, str]] = Recent()
        for review in amazon_reviews.reviews(raw, category):
            product, text = review.parent_asin, one_line(review.text, _LONGEST)
            named = words(titles.get(product, ""))
            # "Great, works well" fits everything: a review must share a word with its product's title, and
            # the wrong ones fewer than it does, or two reviews of two kettles could change places.
            shared = len(words(text) & named)
            if len(text) < _SHORTEST or not shared:
                continue
            rng = seeded.rng(f"{product}:{review.user_id}:{review.timestamp}")
            drawn = distinct(other for at, other in recent.sample(rng, 4 * _WRONG) if at != product)
            wrong = [other for other in drawn if len(words(other) & named) < shared][:_WRONG]
            if len(wrong) == _WRONG:
                options, (answer,) = placed(rng, [text], wrong)
                yield Question(f"product:US:{product}", {"title": titles[product], "options": options}, answer)
            recent.add((product, text))
