"""Which of four sibling categories a product is listed in.

https://amazon-reviews-2023.github.io
amazon_reviews/raw/meta_categories/meta_{Cat}.jsonl (invented, shortened):

    {"title": "Bamboo Drawer Tray", "categories": ["Home & Kitchen", "Storage", "Drawer Trays"], ...}
"""

from __future__ import annotations

from functools import partial

from dataset_builders.sources import amazon_reviews
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import multiple_choice, one_line, product_entity
from dataset_builders.tasks._judgements import apart
from dataset_builders.tasks._product_types import Names, Tree, says

_WRONG = 3


@task(type=TaskType.MULTIPLE_CHOICE, source="amazon_reviews", track=1, llm="reword", quotes=("title",))
def build(raw: RawData, seeded: Seeded) -> Questions:
    for category in amazon_reviews.categories(raw):
        # A first pass over the file; of it only the names of categories remain.
        names = Names(amazon_reviews.products(raw, category))
        tree = Tree(names.paths())
        for product in amazon_reviews.products(raw, category):
            entity, title = product_entity(product.parent_asin), one_line(product.title)
            if not (path := names.of(product)) or not title:
                raw.lacking["in no category that says what it is"] += 1
            elif not seeded.wants(entity):
                continue
            elif not says(title, path):
                raw.lacking["whose title has no word of its categories"] += 1
            else:
                rng = seeded.rng(entity)
                # The nearer a wrong category, the more the question asks for.
                wrong = tree.near(rng, path, _WRONG, partial(apart, title))
                if len(wrong) == _WRONG:
                    yield multiple_choice(rng, entity, {"title": title}, path[-1], wrong)
