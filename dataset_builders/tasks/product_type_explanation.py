"""What a type of product is, explained in a sentence.

https://amazon-reviews-2023.github.io
amazon_reviews/raw/meta_categories/meta_{Cat}.jsonl, definitions in descriptions or features (invented, shortened):

    {"title": "Fernhill Camping Lantern", "categories": ["Sports & Outdoors", "Camping", "Lanterns"],
     "description": ["Our brightest one. A lantern is a lamp in a case that can be carried by its handle."], ...}
"""

from __future__ import annotations

from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import one_line, product_entity
from dataset_builders.tasks._definitions import definition
from dataset_builders.tasks._product_types import typed_products

_LONGEST = 200  # characters of an example's title


@task(type=TaskType.GENERATION, source="amazon_reviews", track=1, llm="enrich")
def build(raw: RawData, seeded: Seeded) -> Questions:
    asked: set[str] = set()
    for product, path in typed_products(raw):
        if found := definition(path[-1], (*product.description, *product.features)):
            name, sentence = found
            # Once bare. After that the example makes it another question: sellers copy definitions.
            example = one_line(product.title, _LONGEST) if name.lower() in asked else ""
            if example or name.lower() not in asked:
                asked.add(name.lower())
                fields = {"product_type": name, "example": example}
                yield Question(product_entity(product.parent_asin), fields, sentence)
