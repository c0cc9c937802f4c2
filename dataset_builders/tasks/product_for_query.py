"""The product that matches a query exactly, among others that were found for it.

https://github.com/amazon-science/esci-data
esci/shopping_queries_dataset_examples.parquet, titles from the products file (invented):

    query             query_id  product_id  product_locale  esci_label  split
    oak bread board   4         B0EXAMPLE1  us              E           train
    oak bread board   4         B0EXAMPLE2  us              S           train
"""

from __future__ import annotations

from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import multiple_choice, query_entity
from dataset_builders.tasks._esci import WRONG, exact_among_others
from dataset_builders.tasks._judgements import with_titles


@task(type=TaskType.MULTIPLE_CHOICE, source="esci", track=3, llm="reword")
def build(raw: RawData, seeded: Seeded) -> Questions:
    for query, judged in with_titles(raw, seeded.wants):
        rng = seeded.rng(own := query_entity(query))
        if found := exact_among_others(rng, query, judged, 1, range(WRONG, WRONG + 1)):
            (right,), wrong = found
            also = (product.entity for product in (right, *wrong))
            yield multiple_choice(rng, own, {"query": query}, right.title, [other.title for other in wrong], also)
