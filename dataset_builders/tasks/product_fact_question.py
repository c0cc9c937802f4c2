"""A fact about a product that its title tells, or that cannot be inferred.

https://amazon-reviews-2023.github.io
amazon_reviews/raw/meta_categories/meta_{Cat}.jsonl, the title and `details` (invented, shortened):

    {"title": "Fernhill Brass Camping Lantern, 12 Inch", "categories": ["Sports & Outdoors", "Camping", "Lanterns"],
     "details": {"Material": "Brass", "Color": "Gold", "Best Sellers Rank": {...}, ...}, ...}
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict

from dataset_builders.held_out import held_out
from dataset_builders.sources import amazon_reviews
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import one_line, placed, product_entity
from dataset_builders.tasks._details import Fact, facts, flat
from dataset_builders.tasks._lexicon import family, without_idioms
from dataset_builders.tasks._product_types import path_of

CANNOT = "It cannot be inferred."
_VALUES = 3  # options besides that one
_TITLE = 300  # characters
_MOST_VALUES = 24  # of a fact that are remembered for each product type
_STATED = 0.25  # of the titles: a fact that they seldom tell is not asked for


class _Known:
    """Of one fact: values, how many products have it, and how many titles tell it."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}  # flat -> as it was first spelled
        self.having = self.stated = 0

    def add(self, fact: Fact, title: str) -> None:
        self.having += 1
        self.stated += fact.flat in title
        if len(self.values) < _MOST_VALUES:
            self.values.setdefault(fact.flat, fact.value)


@task(type=TaskType.MULTIPLE_CHOICE, source="amazon_reviews", track=1, llm="construct", quotes=("title",))
def build(raw: RawData, seeded: Seeded) -> Questions:
    # (held out, cannot be inferred) -> questions. Most titles tell little: a quarter of the questions at most cannot
    # be answered, and no less than a sixth.
    asked: Counter[tuple[bool, bool]] = Counter()
    for category in amazon_reviews.categories(raw):
        known = _known(raw, category)
        for product in amazon_reviews.products(raw, category):
            if not (path := path_of(product)):
                continue
            title, entity = one_line(product.title, _TITLE), product_entity(product.parent_asin)
            words, side = flat(title), held_out(entity)
            for fact in facts(product):
                own, cannot = known[path[-1], fact.name], fact.flat not in words
                hidden, told = asked[side, True], asked[side, False]
                due = told >= 3 * hidden + 3 if cannot else told <= 5 * hidden + 20
                if not due or not _is_sure(fact, own, words):
                    continue
                rng = seeded.rng(f"{entity}:{fact.name}")
                if values := _values(rng, fact, own, known["", fact.name], words):
                    asked[side, cannot] += 1
                    if seeded.wants(entity):
                        options, (answer,) = placed(rng, values[:1], values[1:])
                        fields = {"title": title, "attribute": fact.name.lower(), "options": [*options, CANNOT]}
                        yield Question(entity, fields, len(options) if cannot else answer)


def _known(raw: RawData, category: str) -> dict[tuple[str, str], _Known]:
    """By product type, or "" for any, and name of the fact; a first pass over the file."""
    known: defaultdict[tuple[str, str], _Known] = defaultdict(_Known)
    for product in amazon_reviews.products(raw, category):
        if path := path_of(product):
            title = flat(one_line(product.title, _TITLE))
            for fact in facts(product):
                known[path[-1], fact.name].add(fact, title)
                known["", fact.name].add(fact, title)
    return known


def _is_sure(fact: Fact, own: _Known, title: str) -> bool:
    """Whether titles often tell such a fact, and this one tells it in full or nothing of the kind."""
    if own.stated < _STATED * own.having or without_idioms(title) != title:
        return False
    if fact.flat in title:
        return True
    return {*fact.flat.split()}.isdisjoint(title.split()) and not any(value in title for value in own.values)


def _values(rng: random.Random, fact: Fact, own: _Known, any_type: _Known, title: str) -> list[str]:
    """Values to choose from: the one that the title tells first, or none that it tells; empty if there are too few.

    Where it tells none, the true one is not listed: somebody might know it from elsewhere.
    """
    told, right = set(title.split()), set(fact.flat.split())
    values = [own.values.get(fact.flat, fact.value)] if fact.flat in title else []
    # Of the product's type; where these are too few, of any.
    for known in (own, any_type):
        for value in rng.sample(sorted(known.values), len(known.values)):
            words = set(value.split())
            # Neither "faux leather" next to "leather", nor "20 cm" next to "8 inch", nor what the title has words of.
            sound = words - right and right - words and _unit(words) == _unit(right) and not (words - right) & told
            sound = sound and not words & (family(right) - right)
            if sound and known.values[value] not in values:
                values.append(known.values[value])
                if len(values) == _VALUES:
                    return values
    return []


def _unit(words: set[str]) -> set[str]:
    """What is measured, or empty for what is no measure."""
    unit = {word for word in words if not word[0].isdigit()}
    return unit if len(unit) < len(words) else set()
