"""Whether the listings of two shops sell the same product.

https://huggingface.co/datasets/NingLab/ECInstruct
ecinstruct/dataset.json, task Product_Matching (invented, shortened; gaps as pandas left them):

    {"input": "{\\"product 1\\": {\\"title\\": \\"Fernhill Bamboo Tray\\", \\"manufacturer\\": \\"Fernhill\\", ...},
                \\"product 2\\": {\\"title\\": \\"bamboo tray by fernhill\\", \\"description\\": NaN, ...}}",
     "output": "yes"}
"""

from __future__ import annotations

from dataset_builders.sources import ecinstruct
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import multiple_choice
from dataset_builders.tasks._ecinstruct import field, title_entity, yes_or_no

_LONGEST = 400  # characters of a description, which the authors have cut after 50 words


@task(type=TaskType.MULTIPLE_CHOICE, source="ecinstruct", track=1, llm="reword")
def build(raw: RawData, seeded: Seeded) -> Questions:
    for row in ecinstruct.examples(raw, "Product_Matching"):
        assert isinstance(row.input, dict)
        pair = [row.input.get("product 1"), row.input.get("product 2")]
        titles = [field(product, "title") for product in pair]
        right, wrong = yes_or_no(row)
        if all(titles) and right:
            first, second = map(_listing, pair)
            rng, fields = seeded.rng(f"{first}\n\n{second}"), {"first": first, "second": second}
            entity, *other = map(title_entity, titles)
            yield multiple_choice(rng, entity, fields, right, wrong, other)


def _listing(product: object) -> str:
    """What a shop says of a product, one line each; without what it leaves out."""
    parts = {key: field(product, key, _LONGEST) for key in ("title", "description", "manufacturer", "price")}
    return "\n".join(f"{key}: {text}" for key, text in parts.items() if text)
