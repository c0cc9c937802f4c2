"""Whether a product can stand in for what a query asks, though it does not fit in full.

https://huggingface.co/datasets/NingLab/ECInstruct
ecinstruct/dataset.json, task Product_Substitue_Identification (invented, shortened; spelled so):

    {"input": "{\\"query\\": \\"oak bread board\\", \\"product\\": \\"Fernhill Bamboo Bread Board\\"}", "output": "yes"}
"""

from __future__ import annotations

from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._ecinstruct import ALL, SERVES, on_query_and_title, yes_or_no


@task(type=TaskType.MULTIPLE_CHOICE, source="ecinstruct", track=2, llm="reword")
def build(raw: RawData, seeded: Seeded) -> Questions:
    return on_query_and_title(raw, seeded, "Product_Substitue_Identification", "product", yes_or_no, _may_be)


def _may_be(answer: str, share: float) -> bool:
    """Where some of what is asked for is lacking, it may be a substitute, and nothing tells that it is none."""
    return share >= SERVES if answer == "yes" else not SERVES <= share < ALL
