"""Whether a product can stand in for what a query asks, though it does not fit in full.

https://huggingface.co/datasets/NingLab/ECInstruct
ecinstruct/dataset.json, task Product_Substitue_Identification (invented, shortened; spelled so):

    {"input": "{\\"query\\": \\"oak bread board\\", \\"product\\": \\"Fernhill Bamboo Bread Board\\"}", "output": "yes"}
"""

from __future__ import annotations

from collections.abc import Iterator

from dataset_builders.raw import RawData
from dataset_builders.sources import ecinstruct
from dataset_builders.task import Question, Seeded, task
from dataset_builders.tasks._common import placed
from dataset_builders.tasks._ecinstruct import field, query_entity, title_entity, yes_or_no
from recipe.task_types import TaskType


@task(type=TaskType.MULTIPLE_CHOICE, source="ecinstruct", track=2)
def build(raw: RawData, seeded: Seeded) -> Iterator[Question]:
    for row in ecinstruct.examples(raw, "Product_Substitue_Identification"):
        query, title = field(row.input, "query"), field(row.input, "product")
        right, wrong = yes_or_no(row)
        if query and title and right:
            options, (answer,) = placed(seeded.rng(f"{query}\n{title}"), [right], wrong)
            fields = {"query": query, "title": title, "options": options}
            yield Question(query_entity(query), fields, answer, (title_entity(title),))
