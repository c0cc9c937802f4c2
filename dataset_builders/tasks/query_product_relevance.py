"""How relevant a product is to a query: an exact match, a substitute, a complement, or irrelevant.

https://huggingface.co/datasets/NingLab/ECInstruct
ecinstruct/dataset.json, task Multiclass_Product_Classification (invented, shortened):

    {"input": "{\\"query\\": \\"oak bread board\\", \\"product title\\": \\"Fernhill Bread Knife\\"}",
     "options": "[\\"A: It is what the query asks for.\\", ..., \\"C: It goes with that.\\", \\"D: ...\\"]",
     "output": "C: It goes with that."}
"""

from __future__ import annotations

from collections.abc import Iterator

from dataset_builders.raw import RawData
from dataset_builders.sources import ecinstruct
from dataset_builders.task import Question, Seeded, task
from dataset_builders.tasks._common import placed
from dataset_builders.tasks._ecinstruct import field, lettered, query_entity, title_entity
from recipe.task_types import TaskType


@task(type=TaskType.MULTIPLE_CHOICE, source="ecinstruct", track=3)
def build(raw: RawData, seeded: Seeded) -> Iterator[Question]:
    for row in ecinstruct.examples(raw, "Multiclass_Product_Classification"):
        query, title = field(row.input, "query"), field(row.input, "product title")
        right, wrong = lettered(row)
        if query and title and right:
            options, (answer,) = placed(seeded.rng(f"{query}\n{title}"), [right], wrong)
            fields = {"query": query, "title": title, "options": options}
            yield Question(query_entity(query), fields, answer, (title_entity(title),))
