"""Five products, to be ranked by how well they fit a customer's query.

https://github.com/amazon-science/esci-data
esci/shopping_queries_dataset_examples.parquet, titles from the products file (invented):

    query             query_id  product_id  product_locale  esci_label  split
    oak bread board   4         B0EXAMPLE1  us              E           train
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from dataset_builders.sources import esci
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import one_line, product_entity, query_entity
from dataset_builders.tasks._judgements import by_query, may_show

_LISTED = 5
_LONGEST = 250  # characters of a title


class _Judged(NamedTuple):
    title: str
    entity: str
    weight: float


@task(type=TaskType.RANKING, source="esci", track=3)
def build(raw: RawData, seeded: Seeded) -> Questions:
    # The join holds the American titles (1.2 million).
    titles = {product: one_line(title, _LONGEST) for product, title in esci.titles(raw, "us") if title}
    for query, judged in by_query(raw, "us"):
        own = query_entity(query)
        if not seeded.wants(own):
            continue
        products: dict[str, _Judged] = {}  # by title: two listings of one thing are one choice
        for row in judged:
            entity = product_entity(row.product_id)
            if (title := titles.get(row.product_id)) and may_show(own, entity):
                products[title] = _Judged(title, entity, esci.WEIGHTS[row.label])
        rng = seeded.rng(own)
        if listed := _five(rng, list(products.values())):
            fields = {"query": query, "items": [product.title for product in listed]}
            weights = [product.weight for product in listed]
            yield Question(own, fields, weights, also=tuple(product.entity for product in listed))


def _five(rng: random.Random, judged: Sequence[_Judged]) -> list[_Judged]:
    """Five of them at random of which two differ in weight; none if there are no such five."""
    levels = sorted({product.weight for product in judged})
    if len(judged) < _LISTED or len(levels) < 2:
        return []
    # One product of each of two levels first: most queries have nearly only exact matches.
    chosen = [rng.choice([row for row in judged if row.weight == level]) for level in rng.sample(levels, 2)]
    chosen += rng.sample([row for row in judged if row not in chosen], _LISTED - 2)
    rng.shuffle(chosen)
    return chosen
