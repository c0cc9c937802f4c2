"""The user's query that matches a product's title.

https://github.com/amazon-science/esci-data
esci/shopping_queries_dataset_examples.parquet, titles from the products file (invented):

    query             product_id  product_locale  esci_label    product_title
    oak bread board   B0EXAMPLE1  us              E             Aldwick Oak Bread Board, Large
    slate board       B0EXAMPLE1  us              S
"""

from __future__ import annotations

from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._esci import choose_query, with_title


# Each row shows four queries: where a blend holds out many rows, half of them share one with a held-out row.
@task(type=TaskType.MULTIPLE_CHOICE, source="esci", track=3, llm="reword", quotes=("title",), room=1.8)
def build(raw: RawData, seeded: Seeded) -> Questions:
    yield from choose_query(raw, seeded, with_title)
