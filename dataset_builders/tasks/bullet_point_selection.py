"""Three of up to ten bullet points that belong to a product.

https://github.com/amazon-science/esci-data
esci/shopping_queries_dataset_products.parquet, judgements from the examples file (invented):

    product_id  product_title                   product_bullet_point
    B0EXAMPLE1  Aldwick Oak Bread Board, Large  JUICE GROOVE: keeps your table dry\\nSOLID OAK: ..
"""

from __future__ import annotations

from typing import NamedTuple

from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import product_entity, retrieval
from dataset_builders.tasks._esci import RecentOfQueries, hardest, products, title_of, with_features
from dataset_builders.tasks._judgements import labels_of, stems, words_of

_RIGHT, _WRONG = 3, range(4, 8)
_NAMED = 2  # words of its product's title that a bullet point must have


class _Listing(NamedTuple):
    """Words of a title, words of a brand, and bullet points."""

    title: set[str]
    brand: set[str]
    points: list[str]


@task(type=TaskType.RETRIEVAL, source="esci", track=1, llm="reword")
def build(raw: RawData, seeded: Seeded) -> Questions:
    # The join holds the labels of all judged products, and the bullet points of the last few of each query.
    judged, recent = labels_of(raw, "us"), RecentOfQueries[_Listing]()
    for product, labels, fields in products(raw, judged, with_features):
        entity, title = product_entity(product.id), stems(product.title)
        own = _Listing(title, stems(product.brand), fields["features"])
        # "Easy to clean" fits everything: a point must share words with its product's title.
        points = own.points if seeded.wants(entity) else ()
        named = {point: shared for point in points if (shared := len(words_of(point) & title)) >= _NAMED}
        if len(named) >= _RIGHT:
            rng, known = seeded.rng(entity), stems(" ".join(product))
            right = rng.sample([*named], _RIGHT)
            least = min(map(named.__getitem__, right))
            others = recent.of(entity, labels)
            wrong, whose = dict[str, float](), dict[str, str]()
            for id, other in others.items():
                for point in other.points:
                    foreign, shared = words_of(point) - known, len(words_of(point) & title)
                    # It shares fewer: half as many, unless it names another brand.
                    if (foreign & other.brand and shared < least) or (foreign & other.title and shared <= least / 2):
                        wrong[point], whose[point] = shared, product_entity(id)
            chosen = hardest(rng, wrong, _WRONG[-1])
            if len(chosen) in _WRONG:
                also = dict.fromkeys(whose[point] for point in chosen)
                yield retrieval(rng, entity, {"title": title_of(product)}, right, chosen, also)
        recent.add(product.id, labels, own)
