"""The product title that matches a user's query.

https://github.com/amazon-science/esci-data
esci/shopping_queries_dataset_examples.parquet, titles from the products file (invented):

    query             query_id  product_id  product_locale  esci_label  split
    oak bread board   4         B0EXAMPLE1  us              E           train
    oak bread board   4         B0EXAMPLE2  us              S           train
"""

from __future__ import annotations

from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import multiple_choice, product_entity, query_entity
from dataset_builders.tasks._esci import (
    CLEAR,
    WRONG,
    Near,
    RecentOfQueries,
    hardest,
    less,
    products,
    says_what,
    title_of,
    told,
)
from dataset_builders.tasks._judgements import labels_of, may_show, words_of


@task(type=TaskType.MULTIPLE_CHOICE, source="esci", track=3, llm="reword")
def build(raw: RawData, seeded: Seeded) -> Questions:
    # The join holds the labels of all judged products, the queries by their words, and some titles of each.
    judged, recent = labels_of(raw, "us"), RecentOfQueries[str]()
    near = Near(query for labels in judged.values() for query in labels)
    for product, labels, _ in products(raw, judged, texts=("title",)):
        entity, title = product_entity(product.id), title_of(product)
        if seeded.wants(entity):
            words = words_of(title)
            own = [query for query in labels if says_what(query) and may_show(entity, query_entity(query))]
            if exact := [query for query in own if labels[query] == "E" and told(query, words) >= CLEAR]:
                rng = seeded.rng(entity)
                share = told(query := rng.choice(exact), words)
                # What other queries found, unless it is known to fit this one.
                others = recent.of(entity, (query, *near.like(rng, query)))
                titles = {other: id for id, other in others.items() if judged[id].get(query) != "E"}
                wanted = words_of(query)
                shares = {other: len(wanted & words_of(other)) / len(wanted) for other in titles}
                wrong = hardest(rng, {other: has for other, has in shares.items() if less(has, share)})
                if len(wrong) == WRONG:
                    also = [query_entity(query), *(product_entity(titles[other]) for other in wrong)]
                    yield multiple_choice(rng, entity, {"query": query}, title, wrong, also)
        recent.add(product.id, labels, title)
