"""Which set of keywords suits a Spanish or Japanese product; the keywords are words of real queries.

https://github.com/amazon-science/esci-data
esci/shopping_queries_dataset_examples.parquet, texts from the products file (invented):

    query                    query_id  product_id  product_locale  esci_label  split
    tabla roble mantequera   7         B0EXAMPLE1  es              E           train
    tabla bambú plegable     8         B0EXAMPLE1  es              S           train
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from dataset_builders.held_out import held_out
from dataset_builders.sources import esci
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import Recent, multiple_choice, one_line, product_entity, query_entity
from dataset_builders.tasks._judgements import judged_twice, may_show

_TITLE, _TEXT = 200, 500  # characters that are shown
_MOST, _LEAST = 4, 3  # words of a set
_TRIED = 12  # other products, to find wrong words
_GLUE = frozenset(("al", "con", "de", "del", "el", "en", "for", "la", "las", "los", "para", "por", "sin", "un", "una"))


class _Keywords(NamedTuple):
    words: tuple[str, ...]
    queries: tuple[str, ...]  # that they come from


@task(type=TaskType.MULTIPLE_CHOICE, source="esci", track=4, llm="enrich", quotes=("title", "text"))
def build(raw: RawData, seeded: Seeded) -> Questions:
    # The join holds, of both sites, ids and queries of the products with two judgements or more (some 100,000).
    judged = {locale: judged_twice(raw, locale) for locale in esci.LOCALES if locale != "us"}
    recent = {(locale, side): Recent[_Keywords]() for locale in judged for side in (False, True)}
    for product in esci.products(raw):
        labels = judged.get(product.locale, {}).get(product.id)
        if not labels or not product.title:
            continue
        entity = product_entity(product.id)
        queries = [query for query in labels if may_show(entity, query_entity(query))]
        right = _keywords([query for query in queries if labels[query] == "E"])
        if len(right.words) < _LEAST:
            continue
        others = recent[product.locale, held_out(entity)]
        if not seeded.wants(entity):
            others.add(right)
            continue
        rng = seeded.rng(f"{product.locale}:{product.id}")
        # Words of queries that it does not quite fit are the hardest; then those of products like it.
        nearly = _keywords([query for query in queries if labels[query] != "E"])
        alike = sorted(others.sample(rng, _TRIED), key=lambda other: -len({*right.words} & {*other.words}))
        others.add(right)
        text = " ".join((product.title, product.bullet_point, product.description, *right.queries)).lower()
        for wrong in (nearly, *alike):
            if sets := _sets(rng, right.words, wrong.words, text):
                shown = one_line(product.description or product.bullet_point, _TEXT)
                fields = {"title": one_line(product.title, _TITLE), "text": shown}
                also = map(query_entity, right.queries + wrong.queries)
                yield multiple_choice(rng, entity, fields, sets[0], sets[1:], also)
                break


def _keywords(queries: Sequence[str]) -> _Keywords:
    words = dict.fromkeys(word for query in queries for word in query.lower().replace(",", " ").split())
    telling = (word for word in words if len(word) > 1 and word not in _GLUE and any(map(str.isalpha, word)))
    return _Keywords(tuple(telling), tuple(queries))


def _sets(rng: random.Random, right: Sequence[str], wrong: Sequence[str], text: str) -> list[str]:
    """The right set, a wrong one, and two that mix them. Right words and wrong ones occur equally often, so that
    only the product tells them apart."""
    ours = [word for word in right if word not in wrong]
    theirs = [word for word in wrong if word not in right and _stem(word) not in text]
    size = min(len(ours), len(theirs), _MOST)
    common = [word for word in right if word in wrong]
    common = rng.sample(common, min(len(common), _MOST - size))
    if size < 2 or size + len(common) < _LEAST:
        return []
    ours, theirs, cut = rng.sample(ours, size), rng.sample(theirs, size), rng.randrange(1, size)
    sets = ours, theirs, ours[:cut] + theirs[cut:], theirs[:cut] + ours[cut:]
    return [", ".join(rng.sample(words + common, len(words + common))) for words in sets]


def _stem(word: str) -> str:
    """Without its ending, if it may have one: ``rojo`` does not contradict ``roja``."""
    return word if len(word) < 4 or word[0] > "ÿ" else word[: -1 if len(word) < 6 else -2]
