"""The shopping sessions of Amazon-M2 that questions are made of, and what they need to know of the products."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from dataset_builders.held_out import held_out
from dataset_builders.raw import RawData
from dataset_builders.sources import amazon_m2
from dataset_builders.sources.amazon_m2 import Product, Session
from dataset_builders.tasks._common import Recent, digest, product_entity

T = TypeVar("T")
Key = tuple[str, str]  # locale, id
RecentBySide = Mapping[tuple[str, bool], Recent[T]]  # (locale, whether what it holds is held out)
# Of 3.6 million: many times what a blend takes, and what is needed of their products fits in memory.
_MOST = 150_000


class Visit(NamedTuple):
    """A session that can be asked about.

    Attributes:
        held_out: whether it belongs to validation. Then its questions may show any product: no training question
            will show it. A training session keeps only the products that are not held out themselves.
        seen: the products looked at, each once, in this order.
        next: the product after them.
    """

    entity: str
    held_out: bool
    locale: str
    seen: tuple[str, ...]
    next: str


def visits(raw: RawData) -> list[Visit]:
    """An even sample of the sessions, in an order that has nothing to do with that of the file."""
    named = ((f"session:{digest(repr(session))}", session) for session in amazon_m2.sessions(raw))
    sample = dict(heapq.nsmallest(_MOST, named))
    return [visit for entity, session in sample.items() if (visit := _visit(entity, session))]


def _visit(entity: str, session: Session) -> Visit | None:
    validation = held_out(entity)
    shown = [item for item in dict.fromkeys(session.prev_items) if validation or not held_out(product_entity(item))]
    if not validation and held_out(product_entity(session.next_item)):
        return None
    seen = tuple(item for item in shown if item != session.next_item)
    return Visit(entity, validation, session.locale, seen, session.next_item)


def wrong_choices(recent: RecentBySide[T], visit: Visit, rng: random.Random, count: int) -> Iterator[T]:
    """Recent choices that a question on ``visit`` may show, ``count`` of a side.

    On a held-out session first those that are held out themselves: what else it shows, no training row may show.
    """
    for side in (True, False) if visit.held_out else (False,):
        yield from recent[visit.locale, side].sample(rng, count)


def known(raw: RawData, sample: Iterable[Visit], tell: Callable[[Product], T]) -> dict[Key, T]:
    """What ``tell`` says of each product that the sessions show, where it says anything."""
    wanted = {(visit.locale, item) for visit in sample for item in (*visit.seen, visit.next)}
    rows = (row for row in amazon_m2.products(raw) if (row.locale, row.id) in wanted)
    return {(row.locale, row.id): told for row in rows if (told := tell(row))}
