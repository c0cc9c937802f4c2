"""Entities of queries that no column confirms: the seed is the query alone."""

from __future__ import annotations

from dataset_builders.synthesis.declare import Form, Seed, Seeds, Short, Synthesis
from dataset_builders.synthesis.tasks._common import found_entities
from dataset_builders.task import Question, Questions, RawData, Seeded
from dataset_builders.tasks._common import query_entity
from dataset_builders.tasks._judgements import by_query

_LONGEST = 80  # characters


class Entities(Form):
    brand: list[Short]
    color: list[Short]
    material: list[Short]
    product_type: list[Short]


def _seeds(raw: RawData, seeded: Seeded) -> Seeds:
    for locale in ("us", "es"):
        for query, _ in by_query(raw, locale):
            if "," not in query and len(query) <= _LONGEST and seeded.wants(query_entity(query)):
                yield Seed(query_entity(query), {"query": query}, "")


def _questions(seed: Seed, answer: Entities) -> Questions:
    query = seed.fields["query"]
    for name, phrases in found_entities(answer, query, "query").items():
        if phrases != [query]:
            yield Question(seed.entity, {"query": query, "entity_type": name}, phrases, key=seed.key)


synthesis = Synthesis(__name__, Entities, _seeds, _questions, tokens=120)
