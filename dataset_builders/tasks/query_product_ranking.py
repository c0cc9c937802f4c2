"""Five products, to be ranked by how well they fit a customer's query.

https://github.com/amazon-science/esci-data
esci/shopping_queries_dataset_examples.parquet, titles from the products file (invented):

    query             query_id  product_id  product_locale  esci_label  split
    oak bread board   4         B0EXAMPLE1  us              E           train
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from dataset_builders.sources import esci
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import query_entity
from dataset_builders.tasks._judgements import Judged, with_titles

_LISTED = 5


@task(type=TaskType.RANKING, source="esci", track=3, llm="reword")
def build(raw: RawData, seeded: Seeded) -> Questions:
    for query, judged in with_titles(raw, seeded.wants):
        rng = seeded.rng(own := query_entity(query))
        if listed := _five(rng, judged):
            fields = {"query": query, "items": [product.title for product in listed]}
            weights = [esci.WEIGHTS[product.label] for product in listed]
            yield Question(own, fields, weights, also=tuple(product.entity for product in listed))


def _five(rng: random.Random, judged: Sequence[Judged]) -> list[Judged]:
    """Five of them at random of which two differ in their labels; none if there are no such five."""
    labels = sorted({product.label for product in judged}, key=esci.WEIGHTS.__getitem__)
    if len(judged) < _LISTED or len(labels) < 2:
        return []
    # One product of each of two labels first: most queries have nearly only exact matches.
    chosen = [rng.choice([row for row in judged if row.label == label]) for label in rng.sample(labels, 2)]
    chosen += rng.sample([row for row in judged if row not in chosen], _LISTED - 2)
    rng.shuffle(chosen)
    return chosen
