"""What a customer searches for after some clicks: constructed from a session, whose next product is known."""

from __future__ import annotations

from typing import Annotated

from dataset_builders.synthesis.declare import Form, Seed, Seeds, Short, Synthesis, Unfit, exactly
from dataset_builders.synthesis.rules import counted, different, related
from dataset_builders.synthesis.tasks._common import retrieval
from dataset_builders.task import Questions, RawData, Seeded
from dataset_builders.tasks._common import one_line, product_entity
from dataset_builders.tasks._sessions import known, visits

_LOCALES = ("UK", "DE", "ES", "FR", "IT")  # words that are set apart can be compared
_CLICKS, _TITLE = 4, 160  # of a session at most; characters


class Queries(Form):
    next: Short
    unlikely: Annotated[list[Short], exactly(9)]


def _seeds(raw: RawData, seeded: Seeded) -> Seeds:
    sample = [visit for visit in visits(raw) if visit.locale in _LOCALES and seeded.wants(visit.entity)]
    titles = known(raw, sample, lambda product: one_line(product.title, _TITLE))
    for visit in sample:
        seen = [item for item in visit.seen if (visit.locale, item) in titles][-_CLICKS:]
        following = titles.get((visit.locale, visit.next))
        if seen and following:
            fields = {"site": visit.locale, "clicks": [titles[visit.locale, item] for item in seen]}
            also = tuple(map(product_entity, (*seen, visit.next)))
            yield Seed(visit.entity, fields | {"next_product": following}, "", also)


def _questions(seed: Seed, answer: Queries) -> Questions:
    clicks, following = seed.fields["clicks"], seed.fields["next_product"]
    different([answer.next, *answer.unlikely])
    for query in (answer.next, *answer.unlikely):
        counted(query, 1, 7, "query")
    if not any(related(answer.next, title) for title in (*clicks, following)):
        raise Unfit("not related to the session", f"{answer.next!r} has nothing of what was clicked or came next")
    for query in answer.unlikely:
        if any(related(query, title) for title in (*clicks, following)):
            raise Unfit("related to the session", f"{query!r} shares a word with the session; it must be unlikely")
    yield retrieval(seed, {"actions": [["click", title] for title in clicks]}, [answer.next], answer.unlikely)


synthesis = Synthesis(__name__, Queries, _seeds, _questions, tokens=250)
