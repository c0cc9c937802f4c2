"""Four queries by how well a product fits them: constructed from the product."""

from __future__ import annotations

from dataset_builders.sources import esci
from dataset_builders.synthesis.declare import Form, Seed, Seeds, Short, Synthesis, Unfit
from dataset_builders.synthesis.rules import counted, different, in_language, related
from dataset_builders.synthesis.tasks._common import TITLE, ask, rng_of
from dataset_builders.task import Questions, RawData, Seeded
from dataset_builders.tasks._common import one_line, product_entity


class Queries(Form):
    exact: Short
    substitute: Short
    complement: Short
    irrelevant: Short


def _seeds(raw: RawData, seeded: Seeded) -> Seeds:
    for product in esci.products(raw, "us"):
        if product.title and seeded.wants(product_entity(product.id)):
            yield Seed(product_entity(product.id), {"title": one_line(product.title, TITLE)}, "")


def _questions(seed: Seed, answer: Queries) -> Questions:
    title = seed.fields["title"]
    queries = [answer.exact, answer.substitute, answer.complement, answer.irrelevant]
    different(queries)
    for query in queries:
        in_language(counted(query, 1, 8, "query"), "English")
    if not related(answer.exact, title):
        raise Unfit("not about the product", f"{answer.exact!r} has no word of the title")
    if related(answer.irrelevant, title):
        raise Unfit("not irrelevant", f"{answer.irrelevant!r} has a word of the title")
    ranked = list(zip(queries, (esci.WEIGHTS[label] for label in "ESCI"), strict=True))
    rng_of(seed).shuffle(ranked)
    items, weights = (list(column) for column in zip(*ranked, strict=True))
    yield ask(seed, {"title": title, "items": items}, weights)


synthesis = Synthesis(__name__, Queries, _seeds, _questions, tokens=120)
