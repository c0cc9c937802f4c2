"""The bullet points of a listing, written from the product's description.

https://github.com/amazon-science/esci-data
esci/shopping_queries_dataset_products.parquet (invented, shortened):

    product_id  product_description                         product_bullet_point               product_locale
    B0EXAMPLE1  <p>This board is cut from solid oak and..   Solid oak\\nOiled by hand, no lac..  us
"""

from __future__ import annotations

import re

from dataset_builders.sources import esci
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import distinct, one_line, product_entity, words

_SHORTEST, _LONGEST = 80, 1000  # characters of a description
_POINT = range(15, 161)  # characters of a bullet point
_POINTS = range(2, 6)
_ROOM = 400  # characters of the answer
_COVERED = 0.75  # of a point's words, that must stand in the description
_NUMBER = re.compile(r"\d+")


@task(type=TaskType.GENERATION, source="esci", track=1, llm="reword", quotes=("description",))
def build(raw: RawData, seeded: Seeded) -> Questions:
    for product in esci.products(raw, "us"):
        if "\n" not in product.bullet_point or len(product.description) < _SHORTEST:
            continue
        if not seeded.wants(entity := product_entity(product.id)):
            continue
        description = one_line(product.description, _LONGEST)
        points = _points(product, description)
        if len(description) >= _SHORTEST and len(points) in _POINTS:
            answer = "\n".join(f"- {point}" for point in points)
            yield Question(entity, {"description": description, "count": len(points)}, answer)


def _points(product: esci.Product, description: str) -> list[str]:
    """The first points that say nothing but what the description says, too; that they name the product says nothing."""
    known, named, numbers = words(description), words(product.title), {*_NUMBER.findall(description)}
    points: list[str] = []
    for point in distinct(one_line(line).lstrip("-*•·✔★ ") for line in product.bullet_point.split("\n")):
        told = words(point) - named
        if (
            len(point) in _POINT
            and len(told) >= 2
            and len(told & known) >= _COVERED * len(told)
            and numbers.issuperset(_NUMBER.findall(point))
            and len(points) < _POINTS[-1]
            and sum(map(len, points)) + len(point) <= _ROOM
        ):
            points.append(point)
    return points
