"""How one query relates to another: irrelevant, substitute, complement or narrowing.

https://github.com/amazon-science/esci-data
esci/shopping_queries_dataset_examples.parquet; relations follow from products that two queries share (invented):

    query             query_id  product_id  product_locale  esci_label  split
    bread board       4         B0EXAMPLE1  us              E           train
    oak bread board   9         B0EXAMPLE1  us              E           train
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, islice

from dataset_builders.held_out import held_out
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import multiple_choice, query_entity
from dataset_builders.tasks._judgements import Site, may_show, stems

_RELATIONS = ("irrelevant", "substitute", "complement", "narrowing")
_LONGEST = 5  # words: the contest's queries here are short
_TRIED = 8  # second queries for an irrelevant one
# What the labels of one product for two queries say, as bits: both fit; one is a substitute or a complement.
_SAME, _SUBSTITUTE, _COMPLEMENT = 1, 2, 4
_SAID = {"EE": _SAME, "ES": _SUBSTITUTE, "SE": _SUBSTITUTE, "EC": _COMPLEMENT, "CE": _COMPLEMENT}
_Pair = tuple[str, str]


@task(type=TaskType.MULTIPLE_CHOICE, source="esci", track=3, llm="construct")
def build(raw: RawData, seeded: Seeded) -> Questions:
    # The join holds titles and labels of the American products with two judgements or more (a quarter million),
    # and a number for each two queries that share one of these.
    site = Site(raw, "us")
    said: dict[_Pair, int] = {}
    for labels in site.labels.values():
        for first, second in combinations(filter(_is_short, sorted(labels)), 2):
            bits = _SAID.get(labels[first] + labels[second], 0)
            said[first, second] = said.get((first, second), 0) | bits
    pairs: dict[str, list[_Pair]] = {"substitute": [], "complement": [], "narrowing": []}
    for pair, bits in said.items():
        for first, second in seeded.rng("direction\0" + "\0".join(pair)).sample((pair, pair[::-1]), 2):
            relation = _relation(first, second, bits)
            if relation and may_show(query_entity(first), query_entity(second)):
                pairs[relation].append((first, second))
                break
    # As many of each: complements are by far the rarest.
    count = min(map(len, pairs.values()))
    balanced = {relation: seeded.rng(relation).sample(found, count) for relation, found in pairs.items()}
    balanced["irrelevant"] = list(islice(_strangers(site, seeded, 2 * count, said), count))
    for relation, found in balanced.items():
        others = [other for other in _RELATIONS if other != relation]
        for first, second in found:
            rng, fields = seeded.rng(f"{first}\0{second}"), {"first": first, "second": second}
            yield multiple_choice(rng, query_entity(first), fields, relation, others, [query_entity(second)])


def _is_short(query: str) -> bool:
    return len(query.split()) <= _LONGEST


def _relation(first: str, second: str, said: int) -> str | None:
    """Only what the judgements and the words agree on."""
    ours, theirs = set(first.lower().split()), set(second.lower().split())
    if ours <= theirs or theirs <= ours:
        return "narrowing" if ours < theirs and said & _SAME and not said & _COMPLEMENT else None
    # A product that fits both queries makes them alike, whatever others say.
    return {_SUBSTITUTE: "substitute", _COMPLEMENT: "complement"}.get(said)


def _strangers(site: Site, seeded: Seeded, count: int, said: dict[_Pair, int]) -> Iterator[_Pair]:
    """Queries that share no product, and of which neither has a word of what the other finds."""
    queries = {side: list(filter(_is_short, found)) for side, found in site.queries().items()}
    firsts = [query for side in queries.values() for query in side]
    for number in range(count if firsts else 0):
        rng = seeded.rng(f"irrelevant {number}")
        first = rng.choice(firsts)
        own, near = stems(first), site.around(first)
        side = queries[held_out(query_entity(first))]
        for second in rng.sample(side, min(_TRIED, len(side))):
            apart = (min(first, second), max(first, second)) not in said
            if apart and near.isdisjoint(stems(second)) and own.isdisjoint(site.around(second)):
                yield first, second
                break
