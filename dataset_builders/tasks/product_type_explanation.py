"""What a type of product is, explained in a sentence.

https://amazon-reviews-2023.github.io
amazon_reviews/raw/meta_categories/meta_{Cat}.jsonl, definitions in descriptions or features (invented, shortened):

    {"title": "Fernhill Camping Lantern", "categories": ["Sports & Outdoors", "Camping", "Lanterns"],
     "description": ["Our brightest one. A lantern is a lamp in a case that can be carried by its handle."], ...}
"""

from __future__ import annotations

from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import product_entity
from dataset_builders.tasks._definitions import definition
from dataset_builders.tasks._product_types import typed_products


@task(type=TaskType.GENERATION, source="amazon_reviews", track=1, llm="enrich")
def build(raw: RawData, seeded: Seeded) -> Questions:
    # As the contest asks: the type alone. Sellers copy definitions, and each of a type is asked for once.
    told: set[tuple[str, str]] = set()
    for product, path in typed_products(raw):
        if found := definition(path[-1], (*product.description, *product.features)):
            name, sentence = found
            if (known := (name.lower(), sentence)) in told:
                raw.lacking["with a definition that was asked for"] += 1
            else:
                told.add(known)
                yield Question(product_entity(product.parent_asin), {"product_type": name}, sentence)
