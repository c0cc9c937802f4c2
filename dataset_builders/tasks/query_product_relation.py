"""How a product relates to a query: exact match, substitute, complement or irrelevant.

https://github.com/amazon-science/esci-data
esci/shopping_queries_dataset_examples.parquet, titles from the products file (invented):

    query             query_id  product_id  product_locale  esci_label  split
    oak bread board   4         B0EXAMPLE1  us              E           train
    oak bread board   4         B0EXAMPLE2  us              S           train
"""

from __future__ import annotations

from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import multiple_choice, query_entity
from dataset_builders.tasks._esci import clear, one_of_each
from dataset_builders.tasks._judgements import with_titles

_RELATIONS = {"E": "exact match", "S": "substitute", "C": "complement", "I": "irrelevant"}


@task(type=TaskType.MULTIPLE_CHOICE, source="esci", track=3, llm="reword")
def build(raw: RawData, seeded: Seeded) -> Questions:
    for query, judged in with_titles(raw, seeded.wants):
        rng = seeded.rng(own := query_entity(query))
        # By its label first: two thirds of the judgements are exact matches.
        if found := list(one_of_each(rng, clear(query, judged)).values()):
            product = rng.choice(found)
            fields, right = {"query": query, "title": product.title}, _RELATIONS[product.label]
            wrong = [relation for relation in _RELATIONS.values() if relation != right]
            yield multiple_choice(rng, own, fields, right, wrong, [product.entity])
