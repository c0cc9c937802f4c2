"""Five products, to be ranked by whether a customer who will buy another one likes them: by what they reviewed well.

https://amazon-reviews-2023.github.io
amazon_reviews/raw/review_categories/{Cat}.jsonl (titles from meta_{Cat}.jsonl; invented, shortened):

    {"user_id": "AE7X", "parent_asin": "B0EXAMPLE7", "rating": 5.0, ...}
    {"user_id": "AE7X", "parent_asin": "B0EXAMPLE8", "rating": 4.0, ...}
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from dataset_builders.held_out import held_out
from dataset_builders.sources import amazon_reviews
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import Recent, one_line, placed, product_entity, words
from dataset_builders.tasks._judgements import may_show
from dataset_builders.tasks._lexicon import COLORS, NO_TYPE
from dataset_builders.tasks._product_types import Path

_LISTED, _LIKED = 5, 2  # products listed, and at most so many of them liked
_STARS = 4  # with which a product is liked
_SHORTEST, _LONGEST = 3, 250  # words and characters of a title
_USERS, _LATEST = 200_000, 5  # customers remembered, and what each liked last
_TRIED = 30  # products that others liked


class _Item(NamedTuple):
    entity: str
    title: str
    branch: Path  # its categories above the leaf; () where that is a whole department
    words: frozenset[str]  # of the title; who it is for and its colour tell too little

    def like(self, other: _Item) -> bool:
        """Whether who likes one may like the other, by its branch of the shop or by a word of its title."""
        return self.branch == other.branch != () or not self.words.isdisjoint(other.words)

    def tells(self, other: _Item) -> bool:
        """Whether one can tell so: a "Classic Belt" says nothing of "Classic Socks"."""
        return self.branch == other.branch != () or len(self.words & other.words) > 1


@task(type=TaskType.RANKING, source="amazon_reviews", track=3)
def build(raw: RawData, seeded: Seeded) -> Questions:
    for category in amazon_reviews.categories(raw):
        recent: defaultdict[bool, Recent[_Item]] = defaultdict(Recent)  # by whether they are held out
        for customer, bought, before in _likes(raw, category):
            others = (item for item in before if item.title.casefold() != bought.title.casefold())
            liked = [item for item in others if item.tells(bought)]
            if liked and seeded.wants(customer, bought.entity):
                rng = seeded.rng(f"{customer}:{bought.entity}")
                right = rng.sample(liked, min(_LIKED, len(liked)))
                tried = recent[held_out(customer)].sample(rng, _TRIED)
                drawn = {item.title: item for item in tried if not any(map(item.like, (bought, *before)))}
                wrong = list(drawn.values())[: _LISTED - len(right)]
                if len(right) + len(wrong) == _LISTED:
                    items, places = placed(rng, right, wrong)
                    fields = {"title": bought.title, "liked": len(right), "items": [item.title for item in items]}
                    weights = [float(at in places) for at in range(_LISTED)]
                    also = (bought.entity, *(item.entity for item in items))
                    yield Question(customer, fields, weights, also, key=bought.entity)
            recent[held_out(bought.entity)].add(bought)


def _likes(raw: RawData, category: str) -> Iterator[tuple[str, _Item, tuple[_Item, ...]]]:
    """(customer, what they liked, what they had liked before), of all that a question about them may show.

    The join holds the titles of one category (4 million products in the largest).
    """
    rows = amazon_reviews.products(raw, category)
    shown = {row.parent_asin: (one_line(row.title, _LONGEST), row.categories) for row in rows}
    latest: dict[str, tuple[_Item, ...]] = {}  # who was not seen for longest is forgotten
    for review in amazon_reviews.reviews(raw, category):
        customer, entity = f"customer:{review.user_id}", product_entity(review.parent_asin)
        if review.rating < _STARS or not review.user_id or not may_show(customer, entity):
            continue
        if item := _item(entity, *shown.get(review.parent_asin, ("", ()))):
            before = latest.pop(customer, ())
            before = tuple(other for other in before if other.title != item.title)
            yield customer, item, before
            latest[customer] = (*before, item)[-_LATEST:]
            if len(latest) > _USERS:
                del latest[next(iter(latest))]


def _item(entity: str, title: str, categories: Path) -> _Item | None:
    """``None`` where the title says too little."""
    telling = frozenset(words(title) - NO_TYPE - COLORS)
    branch = categories[:-1] if len(categories) > 2 else ()
    return _Item(entity, title, branch, telling) if len(title.split()) >= _SHORTEST and telling else None
