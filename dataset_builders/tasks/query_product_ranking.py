"""Five products, to be ranked by how well they fit a customer's query.

https://github.com/amazon-science/esci-data
esci/shopping_queries_dataset_examples.parquet, titles from the products file (invented):

    query             query_id  product_id  product_locale  esci_label  split
    oak bread board   4         B0EXAMPLE1  us              E           train
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from dataset_builders.sources import esci
from dataset_builders.task import Question, Seeded, task
from dataset_builders.tasks._common import one_line
from recipe.task_types import TaskType

_LISTED = 5
_Judged = tuple[str, float]  # title, weight


@task(type=TaskType.RANKING, source="esci", track=3)
def build(raw: Path, seeded: Seeded) -> Iterator[Question]:
    # The join holds the American titles (1.2 million). ESCI's own test split stays out of training.
    titles = {product: one_line(title) for product, title in esci.titles(raw, "us") if title}
    rows = (row for row in esci.examples(raw) if row.locale == "us" and row.split == "train")
    for (number, query), judged in groupby(rows, key=lambda row: (row.query_id, row.query)):
        named = ((titles.get(row.product_id), esci.WEIGHTS[row.label]) for row in judged)
        weights = {title: weight for title, weight in named if title}
        rng = seeded.rng(f"{number}:{query}")
        if listed := _five(rng, list(weights.items())):
            fields = {"query": one_line(query), "items": [title for title, _ in listed]}
            yield Question(f"query:{number}", fields, [weight for _, weight in listed])


def _five(rng: random.Random, judged: Sequence[_Judged]) -> list[_Judged]:
    """Five of them at random of which two differ in weight; none if there are no such five."""
    levels = sorted({weight for _, weight in judged})
    if len(judged) < _LISTED or len(levels) < 2:
        return []
    # One product of each of two levels first: most queries have nearly only exact matches.
    chosen = [rng.choice([row for row in judged if row[1] == level]) for level in rng.sample(levels, 2)]
    chosen += rng.sample([row for row in judged if row not in chosen], _LISTED - 2)
    rng.shuffle(chosen)
    return chosen
