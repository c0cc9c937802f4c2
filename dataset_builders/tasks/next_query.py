"""Which of ten queries leads to the product that a customer looks at next, after queries, clicks and purchases.

https://www.aicrowd.com/challenges/amazon-kdd-cup-23-multilingual-recommendation-challenge
amazon_m2/sessions_train.csv (prev_items, next_item, locale; what products_train.csv tells of them; invented):

    "['B0EXAMPLE1' 'B0EXAMPLE2' 'B0EXAMPLE3']",B0EXAMPLE4,UK
    B0EXAMPLE4,UK,"Aldwick Oak Bread Board, Large",18.99,Aldwick,Brown,Large,AW-12,Oak,...

The table has clicks alone. Where the kind of product changes, a query for it may stand before the click and a purchase
behind the one before, as in the contest's sequences of actions.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence

from dataset_builders.held_out import held_out
from dataset_builders.sources.amazon_m2 import Product
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import Recent, one_line, product_entity, retrieval, words
from dataset_builders.tasks._queries import Queries, kind_of, queries
from dataset_builders.tasks._sessions import known, visits, wrong_choices

_WRONG = 9  # queries, of as many kinds of product
_LEAST_CLICKS, _MOST_CLICKS = 2, 6
_LONGEST = 120  # characters of a title
_DRAWN = 48
_SEARCHED, _BOUGHT = 0.8, 0.4  # how often a query comes before products of another kind, and a purchase
_Click = tuple[str, str]  # title, kind


@task(type=TaskType.RETRIEVAL, source="amazon_m2", track=3, llm="construct", quotes=("actions",))
def build(raw: RawData, seeded: Seeded) -> Questions:
    sample = visits(raw)
    ends = {(visit.locale, visit.next) for visit in sample}

    def tell(row: Product) -> tuple[str, str, Queries | None]:
        kind, end = kind_of(row), (row.locale, row.id) in ends
        return one_line(row.title, _LONGEST), kind, queries(row) if end else None

    told = known(raw, sample, tell)
    recent: defaultdict[tuple[str, bool], Recent[Queries]] = defaultdict(Recent)
    for visit in sample:
        title, _, right = told.get((visit.locale, visit.next), ("", "", None))
        if right is None:
            continue
        clicks = {item: told[visit.locale, item][:2] for item in visit.seen if (visit.locale, item) in told}
        text = " ".join(shown for shown, _ in clicks.values()).lower()
        if len(clicks) >= _LEAST_CLICKS and seeded.wants(visit.entity) and _fits(right, text, words(text)):
            rng = seeded.rng(visit.entity)
            wrong = _wrong(wrong_choices(recent, visit, rng, _DRAWN), f"{text} {title.lower()}")
            shown = dict([*clicks.items()][-_MOST_CLICKS:])
            actions = _actions(rng, list(shown.values()))
            # What was searched for already is hardly searched for next.
            fresh = [query for query in right.texts if ["query", query] not in actions]
            if len(wrong) == _WRONG and fresh:
                others = [rng.choice(row.texts) for row in wrong]
                also = map(product_entity, (visit.next, *shown, *(row.id for row in wrong)))
                yield retrieval(rng, visit.entity, {"actions": actions}, [rng.choice(fresh)], others, also)
        recent[visit.locale, held_out(product_entity(right.id))].add(right)


def _actions(rng: random.Random, clicks: Sequence[_Click]) -> list[list[str]]:
    """``["query" | "click" | "purchase", the query or the title]``, in their order."""
    actions: list[list[str]] = []
    before = ""
    for title, kind in clicks:
        if kind != before:
            if actions and rng.random() < _BOUGHT:
                actions.append(["purchase", actions[-1][1]])
            if kind and rng.random() < _SEARCHED:
                actions.append(["query", kind])
        actions.append(["click", title])
        before = kind
    return actions


def _wrong(drawn: Iterable[Queries], text: str) -> list[Queries]:
    """Products of kinds and brands other than those of a session, whose titles are ``text``."""
    found: list[Queries] = []
    named = words(text)
    for row in drawn:
        if not _fits(row, text, named) and not any(row.kind in other.kind or other.kind in row.kind for other in found):
            found.append(row)
            if len(found) == _WRONG:
                break
    return found


def _fits(row: Queries, text: str, named: set[str]) -> bool:
    """Whether queries for the product may be queries for what ``text``, of the words ``named``, is about."""
    if any(stem in text for stem in row.stems) or any(word in row.kind for word in named):
        return True
    return bool(row.brand) and row.brand in text
