"""Which of four sibling categories a product is listed in.

https://amazon-reviews-2023.github.io
amazon_reviews/raw/meta_categories/meta_{Cat}.jsonl (invented, shortened):

    {"title": "Bamboo Drawer Tray", "categories": ["Home & Kitchen", "Storage", "Drawer Trays"], ...}
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from dataset_builders.sources import amazon_reviews
from dataset_builders.task import Question, Seeded, task
from dataset_builders.tasks._common import one_line, placed
from recipe.task_types import TaskType

_WRONG = 3
_Below = Mapping[tuple[str, ...], set[str]]


@task(type=TaskType.MULTIPLE_CHOICE, source="amazon_reviews", track=1, llm="reword")
def build(raw: Path, seeded: Seeded) -> Iterator[Question]:
    for category in amazon_reviews.categories(raw):
        below = _leaves(raw, category)
        for product in amazon_reviews.products(raw, category):
            path = tuple(map(one_line, product.categories))
            title = one_line(product.title)
            if len(path) < 2 or not title:
                continue
            entity = f"product:US:{product.parent_asin}"
            rng = seeded.rng(entity)
            # From siblings outwards: the nearer a wrong category, the more the question asks for.
            wrong: list[str] = []
            for depth in reversed(range(len(path))):
                cousins = sorted(below[path[:depth]] - {*path, *wrong})
                wrong += rng.sample(cousins, min(len(cousins), _WRONG - len(wrong)))
                if len(wrong) == _WRONG:
                    options, (answer,) = placed(rng, [path[-1]], wrong)
                    yield Question(entity, {"title": title, "options": options}, answer)
                    break


def _leaves(raw: Path, category: str) -> _Below:
    """Path of categories -> all leaves under it. A first pass over the file; a few thousand names remain."""
    below: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for path in {product.categories for product in amazon_reviews.products(raw, category)}:
        names = tuple(map(one_line, path))
        for depth in range(len(names)):
            below[names[:depth]].add(names[-1])
    return below
