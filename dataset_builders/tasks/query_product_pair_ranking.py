"""Four pairs of a query and a product, to be ranked by how related the two are.

https://github.com/amazon-science/esci-data
esci/shopping_queries_dataset_examples.parquet, titles from the products file (invented):

    query             query_id  product_id  product_locale  esci_label  split
    oak bread board   4         B0EXAMPLE1  us              E           train
    oak bread board   4         B0EXAMPLE2  us              S           train
"""

from __future__ import annotations

from dataset_builders.sources import esci
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import Recent, query_entity
from dataset_builders.tasks._esci import clear, one_of_each
from dataset_builders.tasks._judgements import Judged, may_show, with_titles

_KEPT, _TRIED = 100, 4  # pairs of a label


# Each row shows four queries and four products: many share one with a held-out row.
@task(type=TaskType.RANKING, source="esci", track=3, llm="reword", room=1.3)
def build(raw: RawData, seeded: Seeded) -> Questions:
    recent = {label: Recent[tuple[str, Judged]](_KEPT) for label in esci.WEIGHTS}
    for query, judged in with_titles(raw, lambda entity: True):
        rng = seeded.rng(own := query_entity(query))
        found = one_of_each(rng, clear(query, judged))
        if found and seeded.wants(own):
            # One pair of each label, so that there are no ties; those that this query lacks are of others.
            pairs = {label: (query, product) for label, product in found.items()}
            for label in esci.WEIGHTS:
                for pair in recent[label].sample(rng, _TRIED):
                    if may_show(own, query_entity(pair[0])) and may_show(own, pair[1].entity):
                        pairs.setdefault(label, pair)
            if len(pairs) == len(esci.WEIGHTS):
                listed = rng.sample(list(pairs.values()), len(pairs))
                items = [f"{text} | {product.title}" for text, product in listed]
                also = [entity for text, product in listed for entity in (query_entity(text), product.entity)]
                weights = [esci.WEIGHTS[product.label] for _, product in listed]
                yield Question(own, {"items": items}, weights, tuple(dict.fromkeys(also)))
        for label, product in found.items():
            recent[label].add((query, product))
