"""Which 3 of 10 queries lead to the product that a customer looks at next.

https://www.aicrowd.com/challenges/amazon-kdd-cup-23-multilingual-recommendation-challenge
amazon_m2/sessions_train.csv (prev_items, next_item, locale; what products_train.csv tells of them; invented):

    "['B0EXAMPLE1' 'B0EXAMPLE2' 'B0EXAMPLE3']",B0EXAMPLE4,UK
    B0EXAMPLE4,UK,"Aldwick Oak Bread Board, Large",18.99,Aldwick,Brown,Large,AW-12,Oak,...
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from dataset_builders.held_out import held_out
from dataset_builders.sources.amazon_m2 import Product
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import Recent, one_line, product_entity, retrieval, words
from dataset_builders.tasks._queries import Queries, queries
from dataset_builders.tasks._sessions import known, visits, wrong_choices

_RIGHT = 3
_WRONG = (3, 3, 1)  # queries of three other products: that some are for one product must not tell which are right
_LEAST_CLICKS, _MOST_CLICKS = 2, 6
_LONGEST = 120  # characters of a title
_DRAWN = 16


@task(type=TaskType.RETRIEVAL, source="amazon_m2", track=3, llm="construct")
def build(raw: RawData, seeded: Seeded) -> Questions:
    sample = visits(raw)
    ends = {(visit.locale, visit.next) for visit in sample}

    def tell(row: Product) -> tuple[str, Queries | None]:
        return one_line(row.title, _LONGEST), queries(row) if (row.locale, row.id) in ends else None

    told = known(raw, sample, tell)
    recent: defaultdict[tuple[str, bool], Recent[Queries]] = defaultdict(Recent)
    for visit in sample:
        title, right = told.get((visit.locale, visit.next), ("", None))
        if right is None or len(right.texts) < _RIGHT:
            continue
        clicks = {item: told[visit.locale, item][0] for item in visit.seen if (visit.locale, item) in told}
        text = " ".join(clicks.values()).lower()
        if len(clicks) >= _LEAST_CLICKS and seeded.wants(visit.entity) and _fits(right, text, words(text)):
            rng = seeded.rng(visit.entity)
            wrong = _wrong(wrong_choices(recent, visit, rng, _DRAWN), f"{text} {title.lower()}")
            if len(wrong) == len(_WRONG):
                shown = dict([*clicks.items()][-_MOST_CLICKS:])
                others = [
                    query for row, count in zip(wrong, _WRONG, strict=True) for query in rng.sample(row.texts, count)
                ]
                also = map(product_entity, (visit.next, *shown, *(row.id for row in wrong)))
                fields = {"clicks": [*shown.values()]}
                yield retrieval(rng, visit.entity, fields, rng.sample(right.texts, _RIGHT), others, also)
        recent[visit.locale, held_out(product_entity(right.id))].add(right)


def _wrong(drawn: Iterable[Queries], text: str) -> list[Queries]:
    """Products of kinds and brands other than those of a session, whose titles are ``text``."""
    found: list[Queries] = []
    named = words(text)
    for row in drawn:
        if len(row.texts) < max(_WRONG) or _fits(row, text, named):
            continue
        if not any(row.kind in other.kind or other.kind in row.kind for other in found):
            found.append(row)
            if len(found) == len(_WRONG):
                break
    return found


def _fits(row: Queries, text: str, named: set[str]) -> bool:
    """Whether queries for the product may be queries for what ``text``, of the words ``named``, is about."""
    if any(stem in text for stem in row.stems) or any(word in row.kind for word in named):
        return True
    return bool(row.brand) and row.brand in text
