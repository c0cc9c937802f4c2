"""Which of four product categories may have an attribute.

https://amazon-reviews-2023.github.io
amazon_reviews/raw/meta_categories/meta_{Cat}.jsonl, the keys of `details` (invented, shortened):

    {"categories": ["Sports & Outdoors", "Camping", "Lanterns"], "parent_asin": "B0EXAMPLE7",
     "details": {"Brand": "Fernhill", "Light Source Type": "LED", "Best Sellers Rank": {...}, ...}, ...}
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial

from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import multiple_choice, product_entity
from dataset_builders.tasks._details import attributes
from dataset_builders.tasks._product_types import Path, Tree, enough, typed_products

_WRONG, _AMONG = 3, 12  # wrong options; categories of one branch that they are drawn from


@task(type=TaskType.MULTIPLE_CHOICE, source="amazon_reviews", track=1, llm="enrich")
def build(raw: RawData, seeded: Seeded) -> Questions:
    seen = _Seen(raw)
    for product, path in typed_products(raw):
        entity = product_entity(product.parent_asin)
        for key in attributes(product) if seeded.wants(entity) else ():
            rng = seeded.rng(f"{entity}:{key}")
            never = partial(seen.never, key, path[-1])
            wrong = seen.tree.near(rng, path, _WRONG, never, among=_AMONG)
            if len(wrong) == _WRONG:
                yield multiple_choice(rng, entity, {"attribute": key}, path[-1], wrong)


class _Seen:
    """How many products of each category have each attribute: a first pass over all files. The contest's wrong
    categories come from other departments, too."""

    def __init__(self, raw: RawData) -> None:
        self._products: Counter[str] = Counter()
        self._having: defaultdict[str, Counter[str]] = defaultdict(Counter)
        paths: set[Path] = set()
        for product, path in typed_products(raw):
            paths.add(path)
            self._products[path[-1]] += 1
            self._having[path[-1]].update(attributes(product))
        self.tree = Tree(paths)
        self._enough = enough(self._products.total(), len(self._products))

    def never(self, key: str, right: str, leaf: str) -> bool:
        """Whether enough products of ``leaf`` would have the attribute, were it as common there as in ``right``."""
        share = self._having[right][key] / self._products[right]
        return key not in self._having[leaf] and self._products[leaf] * share >= self._enough
