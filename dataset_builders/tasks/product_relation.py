"""How two products are related: bought together, viewed together, or alike.

https://huggingface.co/datasets/NingLab/ECInstruct
ecinstruct/dataset.json, task Product_Relation_Prediction (invented, shortened; mind the colons in the keys):

    {"input": "{\\"Product 1:\\": \\"Fernhill Bamboo Tray\\", \\"Product 2:\\": \\"Fernhill Steel Fork Set\\"}",
     "options": "[\\"A: Who buys product 1 may buy product 2.\\", \\"B: ...\\", \\"C: ...\\"]", "output": "A"}
"""

from __future__ import annotations

from dataset_builders.sources import ecinstruct
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import multiple_choice
from dataset_builders.tasks._ecinstruct import field, lettered, title_entity


@task(type=TaskType.MULTIPLE_CHOICE, source="ecinstruct", track=2, llm="reword")
def build(raw: RawData, seeded: Seeded) -> Questions:
    for row in ecinstruct.examples(raw, "Product_Relation_Prediction"):
        first, second = field(row.input, "Product 1:"), field(row.input, "Product 2:")
        right, wrong = lettered(row)
        # Nobody can tell how a product is related to itself.
        if first and second and right and first.casefold() != second.casefold():
            rng, fields = seeded.rng(f"{first}\n{second}"), {"first": first, "second": second}
            yield multiple_choice(rng, title_entity(first), fields, right, wrong, [title_entity(second)])
