"""How many stars the writer of a review gave.

https://amazon-reviews-2023.github.io
amazon_reviews/raw/review_categories/{Cat}.jsonl (invented, shortened):

    {"rating": 2.0, "title": "Peels", "text": "The coating came off in a month.", "parent_asin": "B0EXAMPLE5"}
"""

from __future__ import annotations

from dataset_builders.sources import amazon_reviews
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import one_line, product_entity

_LONGEST = 1500  # characters


@task(type=TaskType.MULTIPLE_CHOICE, source="amazon_reviews", track=3, llm="reword")
def build(raw: RawData, seeded: Seeded) -> Questions:
    for category in amazon_reviews.categories(raw):
        for review in amazon_reviews.reviews(raw, category):
            entity, key = product_entity(review.parent_asin), review.key
            if not seeded.wants(entity, key):
                continue
            text = one_line(review.text, _LONGEST)
            if text and 1 <= review.rating <= 5:
                # The answer is the number of stars itself, 1 to 5: the contest lists no options here.
                fields = {"title": one_line(review.title), "text": text}
                yield Question(entity, fields, review.rating, key=key)
