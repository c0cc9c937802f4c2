"""How many stars the writer of a review gave.

https://amazon-reviews-2023.github.io
amazon_reviews/raw/review_categories/{Cat}.jsonl, product types from meta_categories (invented, shortened):

    {"rating": 2.0, "title": "Peels", "text": "The coating came off in a month.", "parent_asin": "B0EXAMPLE5"}
    {"categories": ["Home & Kitchen", "Cookware", "Skillets"], "parent_asin": "B0EXAMPLE5", ...}
"""

from __future__ import annotations

from dataset_builders.given_away import tells_stars
from dataset_builders.sources import amazon_reviews
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import one_line, product_entity
from dataset_builders.tasks._product_types import types_of

_LONGEST = 1500  # characters
_WORDS = 6  # different ones at least: "Nice" and "Too long" come with any number of stars


@task(type=TaskType.MULTIPLE_CHOICE, source="amazon_reviews", track=3, llm="reword", rates=True)
def build(raw: RawData, seeded: Seeded) -> Questions:
    # As published three in five reviews have five stars; a model would learn to say five. Each number is taken as often
    # as the others so far: one with many reviews waits for the rare ones.
    taken = dict.fromkeys(range(1, 6), 0)
    for category in amazon_reviews.categories(raw):
        types = types_of(raw, category)
        for review in amazon_reviews.reviews(raw, category):
            if review.rating not in taken or not review.text:
                continue
            if taken[review.rating] > min(taken.values()):
                raw.lacking["more of its stars than of others"] += 1
                continue
            title, text = one_line(review.title), one_line(review.text, _LONGEST)
            if tells_stars(title) or tells_stars(review.text):  # what is cut off was meant as part of the verdict, too
                raw.lacking["its text tells the stars"] += 1
                continue
            if len(set(f"{title} {text}".lower().split(maxsplit=2 * _WORDS))) < _WORDS:
                raw.lacking["too few words to tell the stars"] += 1
                continue
            taken[review.rating] += 1
            entity, key = product_entity(review.parent_asin), review.key
            if seeded.wants(entity, key):
                # The contest names the type; a whole department (All_Beauty) has no categories to tell it by.
                named = {"product_type": kind} if (kind := types.get(review.parent_asin)) else {}
                fields = {**named, "title": title, "text": text}
                # The answer is the number of stars itself, 1 to 5: the contest lists no options here.
                yield Question(entity, fields, review.rating, key=key)
