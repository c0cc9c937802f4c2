"""How relevant a product is to a query: an exact match, a substitute, a complement, or irrelevant.

https://huggingface.co/datasets/NingLab/ECInstruct
ecinstruct/dataset.json, task Multiclass_Product_Classification (invented, shortened):

    {"input": "{\\"query\\": \\"oak bread board\\", \\"product title\\": \\"Fernhill Bread Knife\\"}",
     "options": "[\\"A: It is what the query asks for.\\", ..., \\"C: It goes with that.\\", \\"D: ...\\"]",
     "output": "C: It goes with that."}
"""

from __future__ import annotations

from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._ecinstruct import NEARLY, SERVES, lettered, on_query_and_title


@task(type=TaskType.MULTIPLE_CHOICE, source="ecinstruct", track=3, llm="reword")
def build(raw: RawData, seeded: Seeded) -> Questions:
    return on_query_and_title(raw, seeded, "Multiclass_Product_Classification", "product title", lettered, _may_be)


def _may_be(answer: str, share: float) -> bool:
    """Of ECInstruct's four sentences one says "The product is irrelevant to the query."."""
    return share < NEARLY if "irrelevant" in answer.lower() else share >= SERVES
