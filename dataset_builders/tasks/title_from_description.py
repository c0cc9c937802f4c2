"""A product title, written from the product's description.

https://github.com/amazon-science/esci-data
esci/shopping_queries_dataset_products.parquet (invented):

    product_id  product_title                   product_description                          product_locale
    B0EXAMPLE1  Aldwick Oak Bread Board, Large  <p>Solid oak, oiled by hand, with a juice..  us
"""

from __future__ import annotations

from dataset_builders.sources import esci
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import one_line, product_entity, reworded, words

_SHORTEST, _LONGEST = 80, 1500  # characters of a description
_TITLE = range(10, 200)  # characters: shorter ones say nothing, longer ones are lists of search terms


@task(type=TaskType.GENERATION, source="esci", track=1, llm="reword")
def build(raw: RawData, seeded: Seeded) -> Questions:
    for product in esci.products(raw, "us"):
        entity = product_entity(product.id)
        if not product.description or not seeded.wants(entity):
            continue
        title, description = one_line(product.title), one_line(product.description, _LONGEST)
        if reworded(description, title):
            raw.lacking["its description is its title reworded"] += 1
            continue
        # A description of something else (shipping, the seller) does not lead to the title.
        fits = len(words(title) & words(description)) >= 2
        if len(title) in _TITLE and len(description) >= _SHORTEST and fits:
            yield Question(entity, {"description": description}, title)
