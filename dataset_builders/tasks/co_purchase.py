"""Which 3 of 15 products belong to the shopping session in which a product was bought.

https://www.aicrowd.com/challenges/amazon-kdd-cup-23-multilingual-recommendation-challenge
amazon_m2/sessions_train.csv (prev_items, next_item, locale; titles from products_train.csv; invented):

    "['B0EXAMPLE1' 'B0EXAMPLE2' 'B0EXAMPLE3']",B0EXAMPLE4,UK
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from dataset_builders.sources import amazon_m2
from dataset_builders.task import Question, Seeded, task
from dataset_builders.tasks._common import Recent, distinct, one_line, placed
from recipe.task_types import TaskType

_RIGHT, _WRONG = 3, 12


@task(type=TaskType.RETRIEVAL, source="amazon_m2", track=3)
def build(raw: Path, seeded: Seeded) -> Iterator[Question]:
    # The join holds every title (1.4 million). Distractors need no more: they are products of recent sessions
    # of the same site, so they are as popular as the right ones and only the session tells them apart.
    titles: dict[tuple[str, str], str] = {}
    for product in amazon_m2.products(raw):
        titles[product.locale, product.id] = one_line(product.title)
    recent: defaultdict[str, Recent[str]] = defaultdict(Recent)
    for session in amazon_m2.sessions(raw):
        locale = session.locale
        bought, *others = (titles.get((locale, item), "") for item in (session.next_item, *session.prev_items))
        seen = distinct([bought, *filter(None, others)])
        rng = seeded.rng(repr(session))
        # Some of the sample may be of this session or be variants under one title: draw more than needed.
        inside = {title.casefold() for title in seen}
        drawn = distinct(recent[locale].sample(rng, 3 * _WRONG))
        outside = [title for title in drawn if title.casefold() not in inside]
        if bought and len(seen) > _RIGHT and len(outside) >= _WRONG:
            right = rng.sample(seen[1:], _RIGHT)
            items, positions = placed(rng, right, outside[:_WRONG])
            fields = {"title": bought, "items": items}
            yield Question(f"product:{locale}:{session.next_item}", fields, [at + 1 for at in positions])
        for title in filter(None, seen):
            recent[locale].add(title)
