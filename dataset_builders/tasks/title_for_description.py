"""The title of the product whose description is given.

https://github.com/amazon-science/esci-data
esci/shopping_queries_dataset_products.parquet, judgements from the examples file (invented):

    product_id  product_title                   product_description
    B0EXAMPLE1  Aldwick Oak Bread Board, Large  <p>Solid oak, oiled by hand, with a juice groove..
"""

from __future__ import annotations

from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._esci import choose_title, with_description


@task(type=TaskType.MULTIPLE_CHOICE, source="esci", track=1, llm="reword")
def build(raw: RawData, seeded: Seeded) -> Questions:
    yield from choose_title(raw, seeded, with_description)
