"""Which 3 of 15 products were clicked on before a purchase, in the same shopping session.

https://www.aicrowd.com/challenges/amazon-kdd-cup-23-multilingual-recommendation-challenge
amazon_m2/sessions_train.csv (prev_items, next_item, locale; titles from products_train.csv; invented):

    "['B0EXAMPLE1' 'B0EXAMPLE2' 'B0EXAMPLE3']",B0EXAMPLE4,UK
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache

from dataset_builders.held_out import held_out
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import Recent, one_line, placed, product_entity, words
from dataset_builders.tasks._lexicon import COLORS, NO_TYPE
from dataset_builders.tasks._sessions import Key, known, visits, wrong_choices

_RIGHT, _WRONG = 3, 12
_ALIKE = 2  # words in two titles by which the products are of one kind or of one brand
_Listed = tuple[str, str]  # title, id


# Each row shows 16 products: an eighth of the rows share one with a held-out row, and are lost.
@task(type=TaskType.RETRIEVAL, source="amazon_m2", track=3, room=1.15)
def build(raw: RawData, seeded: Seeded) -> Questions:
    sample = visits(raw)
    titles = known(raw, sample, lambda row: one_line(row.title))
    # Distractors are products of recent sessions of the same site, so they are as popular as the right ones and
    # only the session tells them apart.
    recent: defaultdict[tuple[str, bool], Recent[_Listed]] = defaultdict(Recent)
    together: defaultdict[Key, set[str]] = defaultdict(set)  # what anybody clicked on before such a purchase
    for visit in sample:
        together[visit.locale, visit.next].update(visit.seen)
    for visit in sample:
        bought = titles.get((visit.locale, visit.next))
        named = [(titles.get((visit.locale, item)), item) for item in visit.seen]
        # Variants of a product are listed under one title: each title counts once.
        seen = {title.casefold(): (title, item) for title, item in named if title}
        seen.pop((bought or "").casefold(), None)
        if bought and len(seen) >= _RIGHT and seeded.wants(visit.entity):
            rng = seeded.rng(visit.entity)
            drawn: dict[str, _Listed] = {}
            for row in wrong_choices(recent, visit, rng, 4 * _WRONG):
                drawn.setdefault(row[0].casefold(), row)
            own, others = _telling(bought), together[visit.locale, visit.next]
            # What the data also support is no wrong choice.
            wrong = [
                row
                for title, row in drawn.items()
                if title not in seen and row[1] != visit.next and row[1] not in others
                if len(own & _telling(title)) < _ALIKE
            ]
            if len(wrong) >= _WRONG:
                items, positions = placed(rng, rng.sample([*seen.values()], _RIGHT), wrong[:_WRONG])
                fields = {"title": bought, "items": [title for title, _ in items]}
                also = tuple(product_entity(item) for item in (visit.next, *(item for _, item in items)))
                yield Question(visit.entity, fields, [at + 1 for at in positions], also)
        for row in seen.values():
            recent[visit.locale, held_out(product_entity(row[1]))].add(row)


@lru_cache(maxsize=20_000)  # recent choices are drawn again and again
def _telling(title: str) -> frozenset[str]:
    return frozenset(words(title) - NO_TYPE - COLORS)
