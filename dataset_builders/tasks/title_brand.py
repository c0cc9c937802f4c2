"""The brand of a product, told by its title.

https://github.com/amazon-science/esci-data
esci/shopping_queries_dataset_products.parquet, judgements from the examples file (invented):

    product_id  product_title                   product_brand
    B0EXAMPLE1  Aldwick Oak Bread Board, Large  Aldwick
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

from dataset_builders.sources import esci
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._brands import Brands
from dataset_builders.tasks._common import distinct, multiple_choice, one_line, product_entity, spelled
from dataset_builders.tasks._esci import WRONG, RecentOfQueries, products, title_of
from dataset_builders.tasks._judgements import flat, labels_of

_SHORT = 3  # letters: "for", "set"


@task(type=TaskType.MULTIPLE_CHOICE, source="esci", track=1, llm="reword", quotes=("title",))
def build(raw: RawData, seeded: Seeded) -> Questions:
    # The join holds the labels of all judged products, and the brands of the last few of each query.
    judged, recent, brands = labels_of(raw, "us"), RecentOfQueries[str](), Brands(raw, "us")

    def with_brand(product: esci.Product) -> dict[str, str]:
        brand = one_line(product.brand)
        return {"brand": brand} if brands.names_whole(brand) else {}

    for product, labels, fields in products(raw, judged, with_brand, texts=("title", "brand")):
        entity, title, brand = product_entity(product.id), title_of(product), fields["brand"]
        if seeded.wants(entity) and spelled(brand, title):
            rng, own = seeded.rng(entity), {*flat(brand).split()}
            # What its queries call it stands in the title, too; other brands do not.
            queries = ([word for word in query.split() if word not in own] for query in labels if labels[query] in "ES")
            kinds = (spelled(kind, title) for query in queries for kind in _kinds(query))
            others = [other for other in recent.of(entity, labels).values() if flat(other) not in flat(title)]
            options = distinct([*islice(filter(None, kinds), 1), *rng.sample(others, len(others))])
            wrong = [other for other in options if own.isdisjoint(flat(other).split())][:WRONG]
            if len(wrong) == WRONG:
                yield multiple_choice(rng, entity, {"title": title}, brand, wrong)
        recent.add(product.id, labels, brand)


def _kinds(query: Sequence[str]) -> Iterator[str]:
    """Two words of it, or one, that may say what the product is: in English the last ones."""
    yield from (" ".join(pair) for pair in reversed([*pairwise(query)]))
    yield from (word for word in reversed(query) if len(word) > _SHORT)
