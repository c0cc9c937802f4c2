"""Three of up to ten products that match a query exactly.

https://github.com/amazon-science/esci-data
esci/shopping_queries_dataset_examples.parquet, titles from the products file (invented):

    query             query_id  product_id  product_locale  esci_label  split
    oak bread board   4         B0EXAMPLE1  us              E           train
    oak bread board   4         B0EXAMPLE2  us              S           train
"""

from __future__ import annotations

from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import query_entity, retrieval
from dataset_builders.tasks._esci import exact_among_others
from dataset_builders.tasks._judgements import with_titles

_RIGHT, _WRONG = 3, range(3, 8)


@task(type=TaskType.RETRIEVAL, source="esci", track=3, llm="reword")
def build(raw: RawData, seeded: Seeded) -> Questions:
    for query, judged in with_titles(raw, seeded.wants):
        rng = seeded.rng(own := query_entity(query))
        if found := exact_among_others(rng, query, judged, _RIGHT, _WRONG):
            right, wrong = ([product.title for product in side] for side in found)
            also = (product.entity for side in found for product in side)
            yield retrieval(rng, own, {"query": query}, right, wrong, also)
