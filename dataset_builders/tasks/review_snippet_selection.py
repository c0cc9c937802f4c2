"""Three of fifteen snippets that praise, or blame, a given aspect of a product type.

https://amazon-reviews-2023.github.io
amazon_reviews/raw/review_categories/{Cat}.jsonl, product types from meta_categories (invented, shortened):

    {"rating": 5.0, "text": "It is very light. Bright enough for two.", "parent_asin": "B0EXAMPLE7", ...}
    {"categories": ["Sports & Outdoors", "Camping", "Lanterns"], "parent_asin": "B0EXAMPLE7", ...}
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from dataset_builders.held_out import held_out
from dataset_builders.sources import amazon_reviews
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._aspects import fitting, kin, phrases
from dataset_builders.tasks._common import Recent, lines, placed, product_entity
from dataset_builders.tasks._product_types import types_of

_RIGHT, _WRONG = 3, 12
_OPPOSITE = 3  # wrong ones at most that say the opposite on the same aspect
_LONGEST = 800  # characters of a review
_WORDS = range(1, 11)  # of a snippet
_POOL = 6  # snippets remembered for each type, aspect and sentiment
_NUMBER = re.compile(r"\d+")
_SENTIMENTS = {1: "positive", -1: "negative"}


class _Snippet(NamedTuple):
    entity: str
    text: str
    aspect: str
    verdict: int


_Pool = defaultdict[tuple[str, int], Recent[_Snippet]]  # by aspect and verdict


@task(type=TaskType.RETRIEVAL, source="amazon_reviews", track=1, llm="construct")
def build(raw: RawData, seeded: Seeded) -> Questions:
    for category in amazon_reviews.categories(raw):
        types = types_of(raw, category)
        # By type and side of the split: what a question shows is of the type and side that it is about.
        pools: defaultdict[tuple[str, bool], _Pool] = defaultdict(lambda: defaultdict(partial(Recent, _POOL)))
        for review in amazon_reviews.reviews(raw, category):
            product = review.parent_asin
            if product in types and (said := _snippets(review, fitting(category, types[product]))):
                pool = pools[types[product], held_out(said[0].entity)]
                if seeded.wants(said[0].entity, review.key):
                    rng = seeded.rng(f"{product}:{review.key}")
                    yield from _question(rng, review.key, types[product], rng.choice(said), pool)
                for snippet in said:
                    pool[snippet.aspect, snippet.verdict].add(snippet)


def _question(rng: random.Random, key: str, type: str, asked: _Snippet, pool: _Pool) -> Questions:
    """The question on ``asked``, where the pool holds enough for it."""
    right = _right(rng, asked, pool)
    if len(right) == _RIGHT and len(wrong := _wrong(rng, asked, pool)) == _WRONG:
        shown, places = placed(rng, right, wrong)
        fields = {"product_type": type, "aspect": asked.aspect, "sentiment": _SENTIMENTS[asked.verdict]}
        also = tuple(dict.fromkeys(other.entity for other in shown if other.entity != asked.entity))
        items = [snippet.text for snippet in shown]
        yield Question(asked.entity, fields | {"items": items}, [place + 1 for place in places], also, key=key)


def _snippets(review: amazon_reviews.Review, fits: Collection[str]) -> list[_Snippet]:
    """Short clauses on one aspect whose verdict the stars confirm."""
    if review.rating == 3:
        return []
    verdict = 1 if review.rating > 3 else -1
    return [
        _Snippet(product_entity(review.parent_asin), phrase.text, phrase.about[0], verdict)
        for phrase in phrases(lines(review.text, _LONGEST))
        if phrase.verdict == verdict
        and len(phrase.about) == len(phrase.touched) == 1
        and phrase.about[0] in fits
        and len(phrase.text.split()) in _WORDS
    ]


def _right(rng: random.Random, asked: _Snippet, pool: _Pool) -> list[_Snippet]:
    return _different([asked, *pool[asked.aspect, asked.verdict].sample(rng, _POOL)])[:_RIGHT]


def _wrong(rng: random.Random, asked: _Snippet, pool: Mapping[tuple[str, int], Recent[_Snippet]]) -> list[_Snippet]:
    """On other aspects, as evenly as there are some; and the opposite on the same one."""
    opposite = pool[asked.aspect, -asked.verdict].sample(rng, _OPPOSITE)
    drawn = (pool[key].sample(rng, _POOL) for key in sorted(pool) if key[0] not in kin(asked.aspect))
    others = [snippets for snippets in drawn if snippets]
    rng.shuffle(others)
    turns = [snippets[turn] for turn in range(_POOL) for snippets in others if turn < len(snippets)]
    return _different([*opposite, *turns])[:_WRONG]


def _different(snippets: Iterable[_Snippet]) -> list[_Snippet]:
    """Those that differ in more than case and numbers; first come, first kept."""
    seen: dict[str, _Snippet] = {}
    for snippet in snippets:
        seen.setdefault(_NUMBER.sub("", snippet.text.casefold()), snippet)
    return list(seen.values())
