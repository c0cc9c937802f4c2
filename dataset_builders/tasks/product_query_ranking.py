"""Four queries, to be ranked by how well a product fits them.

https://github.com/amazon-science/esci-data
esci/shopping_queries_dataset_examples.parquet, titles from the products file (invented):

    query             query_id  product_id  product_locale  esci_label  split
    oak bread board   4         B0EXAMPLE1  us              E           train
    walnut board      9         B0EXAMPLE1  us              S           train
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from dataset_builders.held_out import held_out
from dataset_builders.sources import esci
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import product_entity, query_entity
from dataset_builders.tasks._judgements import Site, may_show, stems

_LISTED = 4
_TRIED = 12  # queries of other products, to find some that have nothing to do with this one


# Each row shows several queries: where a blend holds out many rows, many share one with a held-out row.
@task(type=TaskType.RANKING, source="esci", track=3, llm="construct", quotes=("title",), room=1.8)
def build(raw: RawData, seeded: Seeded) -> Questions:
    # The join holds titles and labels of the American products with two judgements or more (a quarter million).
    site = Site(raw, "us")
    queries = site.queries()
    for id, title in site.titles.items():
        entity = product_entity(id)
        if not seeded.wants(entity):
            continue
        labels = {query: label for query, label in site.labels[id].items() if may_show(entity, query_entity(query))}
        if len({*labels.values()}) < 2:
            continue
        rng = seeded.rng(entity)
        weights = {query: esci.WEIGHTS[labels[query]] for query in _judged(rng, labels)}
        if len(weights) < _LISTED:
            others = rng.sample(pool := queries[held_out(entity)], min(_TRIED, len(pool)))
            weights |= dict.fromkeys(_strangers(site, title, labels, others)[: _LISTED - len(weights)], 0.0)
        if len(weights) == _LISTED and len({query.lower() for query in weights}) == _LISTED:
            items = rng.sample(list(weights), _LISTED)
            also = tuple(map(query_entity, items))
            yield Question(entity, {"title": title, "items": items}, [weights[item] for item in items], also)


def _judged(rng: random.Random, labels: Mapping[str, str]) -> list[str]:
    """Up to four of the product's queries, of which two differ in their labels."""
    queries = rng.sample(list(labels), len(labels))
    other = next(query for query in queries if labels[query] != labels[queries[0]])
    return [queries[0], other, *(query for query in queries[1:] if query != other)][:_LISTED]


def _strangers(site: Site, title: str, labels: Mapping[str, str], others: Sequence[str]) -> list[str]:
    """Those of other queries that want neither this product nor what its queries find: an unjudged query for
    something that goes with it would not be worth nothing."""
    near = stems(title).union(*map(site.around, labels))
    return [query for query in others if near.isdisjoint(stems(query))]
