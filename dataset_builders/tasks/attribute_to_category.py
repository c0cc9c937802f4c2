"""Which of four product categories has a product with these attributes.

https://www.aicrowd.com/challenges/amazon-kdd-cup-23-multilingual-recommendation-challenge
amazon_m2/products_train.csv (id, locale, title, price, brand, color, size, model, material, ...; invented):

    B0EXAMPLE1,UK,"Aldwick Oak Bread Board, Large",18.99,Aldwick,Brown,Large,AW-12,Oak,...

The table has no column for the category: without an LLM it is what several titles call their products. Whether an LLM
named it, a row says by its columns ``template`` and ``model``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from sys import intern

from dataset_builders.sources import amazon_m2
from dataset_builders.sources.amazon_m2 import Product
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import multiple_choice, one_line, product_entity, words
from dataset_builders.tasks._judgements import stems
from dataset_builders.tasks._listing_types import ENGLISH, shared_types, types_of
from dataset_builders.tasks._product_types import enough

_WRONG, _TRIED = 3, 100  # wrong options; types that they are looked for among
_SHOWN = ("material", "color", "size")  # columns
_LONGEST = 60  # characters of a column


@task(type=TaskType.MULTIPLE_CHOICE, source="amazon_m2", track=1, llm="enrich")
def build(raw: RawData, seeded: Seeded) -> Questions:
    seen = _Seen(_rows(raw))
    for row in _rows(raw):
        entity, right = product_entity(row.id), seen.types.get(row.id)
        if right and seeded.wants(entity):
            rng = seeded.rng(entity)
            tried = rng.sample(seen.names, min(_TRIED, len(seen.names)))
            wrong = list(islice((name for name in tried if seen.never(name, right, row.material)), _WRONG))
            if len(wrong) == _WRONG:
                yield multiple_choice(rng, entity, {"attributes": attributes(row)}, right, wrong)


def attributes(row: Product) -> list[str]:
    """What its columns say: ``["material: Oak", "size: Large"]``."""
    return [f"{name}: {value}" for name in _SHOWN if (value := one_line(getattr(row, name), _LONGEST))]


def _rows(raw: RawData) -> Iterator[Product]:
    rows = (row for row in amazon_m2.products(raw) if row.locale == ENGLISH)
    return (row for row in rows if words(row.material) and len(row.material) <= _LONGEST)


class _Seen:
    """Which types of product are made of what: a first pass over the file. The material is what tells a type; the other
    attributes are of that product.

    Attributes:
        types: of each product, where enough are known of its type.
        names: of all these types.
    """

    def __init__(self, rows: Iterable[Product]) -> None:
        named: dict[str, tuple[str, list[str]]] = {}
        materials: dict[str, str] = {}
        for row in rows:
            named[row.id] = intern(row.brand.lower()), list(map(intern, types_of(row)))
            materials[row.id] = intern(row.material)
        types = shared_types(named)
        counts = Counter(types.values())
        least = enough(counts.total(), len(counts))
        self.types = {id: name for id, name in types.items() if counts[name] >= least}
        self._made_of: defaultdict[str, set[str]] = defaultdict(set)
        for id, name in self.types.items():
            self._made_of[name] |= words(materials[id])
        self.names = sorted(self._made_of)

    def never(self, name: str, right: str, material: str) -> bool:
        """Whether ``name`` is another type, of which no product of that material is known."""
        return stems(name).isdisjoint(stems(right)) and self._made_of[name].isdisjoint(words(material))
