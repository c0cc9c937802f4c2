"""Which of four sibling categories a product is listed in.

https://amazon-reviews-2023.github.io
amazon_reviews/raw/meta_categories/meta_{Cat}.jsonl (invented, shortened):

    {"title": "Bamboo Drawer Tray", "categories": ["Home & Kitchen", "Storage", "Drawer Trays"], ...}
"""

from __future__ import annotations

from dataset_builders.sources import amazon_reviews
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import multiple_choice, one_line, product_entity
from dataset_builders.tasks._product_types import Tree, path_of

_WRONG = 3


@task(type=TaskType.MULTIPLE_CHOICE, source="amazon_reviews", track=1, llm="reword")
def build(raw: RawData, seeded: Seeded) -> Questions:
    for category in amazon_reviews.categories(raw):
        # A first pass over the file; of it only the names of categories remain.
        tree = Tree(filter(None, map(path_of, amazon_reviews.products(raw, category))))
        for product in amazon_reviews.products(raw, category):
            path, entity = path_of(product), product_entity(product.parent_asin)
            if path and seeded.wants(entity) and (title := one_line(product.title)):
                rng = seeded.rng(entity)
                # The nearer a wrong category, the more the question asks for.
                wrong = tree.near(rng, path, _WRONG)
                if len(wrong) == _WRONG:
                    yield multiple_choice(rng, entity, {"title": title}, path[-1], wrong)
