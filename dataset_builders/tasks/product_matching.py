"""Whether the listings of two shops sell the same product.

https://huggingface.co/datasets/NingLab/ECInstruct
ecinstruct/dataset.json, task Product_Matching (invented, shortened; gaps as pandas left them):

    {"input": "{\\"product 1\\": {\\"title\\": \\"Fernhill Bamboo Tray\\", \\"manufacturer\\": \\"Fernhill\\", ...},
                \\"product 2\\": {\\"title\\": \\"bamboo tray by fernhill\\", \\"description\\": NaN, ...}}",
     "output": "yes"}
"""

from __future__ import annotations

from collections.abc import Iterator

from dataset_builders.raw import RawData
from dataset_builders.sources import ecinstruct
from dataset_builders.task import Question, Seeded, task
from dataset_builders.tasks._common import placed
from dataset_builders.tasks._ecinstruct import field, title_entity, yes_or_no
from spine.task_types import TaskType

_LONGEST = 400  # characters of a description, which the authors have cut after 50 words


@task(type=TaskType.MULTIPLE_CHOICE, source="ecinstruct", track=1)
def build(raw: RawData, seeded: Seeded) -> Iterator[Question]:
    for row in ecinstruct.examples(raw, "Product_Matching"):
        assert isinstance(row.input, dict)
        pair = [row.input.get("product 1"), row.input.get("product 2")]
        titles = [field(product, "title") for product in pair]
        right, wrong = yes_or_no(row)
        if all(titles) and right:
            first, second = map(_listing, pair)
            options, (answer,) = placed(seeded.rng(f"{first}\n\n{second}"), [right], wrong)
            entity, other = map(title_entity, titles)
            yield Question(entity, {"first": first, "second": second, "options": options}, answer, (other,))


def _listing(product: object) -> str:
    """What a shop says of a product, one line each; without what it leaves out."""
    parts = {key: field(product, key, _LONGEST) for key in ("title", "description", "manufacturer", "price")}
    return "\n".join(f"{key}: {text}" for key, text in parts.items() if text)
