"""The user's query that matches a product's features.

https://github.com/amazon-science/esci-data
esci/shopping_queries_dataset_examples.parquet, bullet points from the products file (invented):

    query             product_id  product_locale  esci_label    product_bullet_point
    oak bread board   B0EXAMPLE1  us              E             JUICE GROOVE: keeps your table dry\\nSOLID OAK: ..
    slate board       B0EXAMPLE1  us              S
"""

from __future__ import annotations

from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._esci import choose_query, with_features


# Each row shows four queries: where a blend holds out many rows, half of them share one with a held-out row.
@task(type=TaskType.MULTIPLE_CHOICE, source="esci", track=3, llm="reword", quotes=("features",), room=1.8)
def build(raw: RawData, seeded: Seeded) -> Questions:
    yield from choose_query(raw, seeded, with_features)
