"""Which of four product categories may have an attribute.

https://amazon-reviews-2023.github.io
amazon_reviews/raw/meta_categories/meta_{Cat}.jsonl, the keys of `details` (invented, shortened):

    {"categories": ["Sports & Outdoors", "Camping", "Lanterns"], "parent_asin": "B0EXAMPLE7",
     "details": {"Brand": "Fernhill", "Light Source Type": "LED", "Best Sellers Rank": {...}, ...}, ...}
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial

from dataset_builders.sources import amazon_reviews
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import multiple_choice, product_entity
from dataset_builders.tasks._details import attributes
from dataset_builders.tasks._product_types import Names, Path, Tree, enough

_WRONG, _AMONG = 3, 12  # wrong options; categories of one branch that they are drawn from
_USUAL = 0.1  # share of a category's products that have one of its attributes: others were put into the wrong one


@task(type=TaskType.MULTIPLE_CHOICE, source="amazon_reviews", track=1, llm="enrich")
def build(raw: RawData, seeded: Seeded) -> Questions:
    seen = _Seen(raw)
    for category in amazon_reviews.categories(raw):
        for product in amazon_reviews.products(raw, category):
            path, entity = seen.names.of(product), product_entity(product.parent_asin)
            for key in attributes(product) if path and seeded.wants(entity) else ():
                if not seen.usual(key, path[-1]):
                    raw.lacking["whose category seldom has the attribute"] += 1
                    continue
                rng = seeded.rng(f"{entity}:{key}")
                never = partial(seen.never, key, path[-1])
                wrong = seen.tree.near(rng, path, _WRONG, never, among=_AMONG)
                if len(wrong) == _WRONG:
                    yield multiple_choice(rng, entity, {"attribute": key}, path[-1], wrong)


class _Seen:
    """How many products of each category have each attribute: a first pass over all files. The contest's wrong
    categories come from other departments, too."""

    def __init__(self, raw: RawData) -> None:
        self.names = Names()
        products: Counter[Path] = Counter()
        having: defaultdict[Path, Counter[str]] = defaultdict(Counter)
        for category in amazon_reviews.categories(raw):
            for product in amazon_reviews.products(raw, category):
                path = self.names.add(product)
                products[path] += 1
                having[path].update(attributes(product))
        self._products: Counter[str] = Counter()
        self._having: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for whole, count in products.items():
            if path := self.names.path(whole):
                self._products[path[-1]] += count
                self._having[path[-1]] += having[whole]
        self.tree = Tree(self.names.paths())
        self._enough = enough(self._products.total(), len(self._products))

    def usual(self, key: str, leaf: str) -> bool:
        """Whether it is an attribute of the category, and not of one product that strayed there."""
        return self._having[leaf][key] >= max(2.0, _USUAL * self._products[leaf])

    def never(self, key: str, right: str, leaf: str) -> bool:
        """Whether enough products of ``leaf`` would have the attribute, were it as common there as in ``right``."""
        share = self._having[right][key] / self._products[right]
        return key not in self._having[leaf] and self._products[leaf] * share >= self._enough
