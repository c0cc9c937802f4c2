"""What a customer buys next, after some purchases.

https://huggingface.co/datasets/NingLab/ECInstruct
ecinstruct/dataset.json, task Sequential_Recommendation (invented, shortened; lists as Python prints them):

    {"input": "['1st: Bamboo Tray. Home & Kitchen. Storage. Fernhill.', '2nd: ...']",
     "options": "['A: Bread Board. Home & Kitchen. Dining. Fernhill.', ..., 'T: ...']", "output": "A"}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from dataset_builders.held_out import held_out
from dataset_builders.sources import ecinstruct
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import multiple_choice
from dataset_builders.tasks._ecinstruct import lettered, title_entity, unmarked

_PURCHASES = 4  # the latest ones; up to 49 are published
_OPTIONS = 8  # of 20: an answer is one digit, and each option a long line
_Product = tuple[str, str]  # its entity, and the line that describes it


@task(type=TaskType.MULTIPLE_CHOICE, source="ecinstruct", track=3, llm="reword")
def build(raw: RawData, seeded: Seeded) -> Questions:
    for row in ecinstruct.examples(raw, "Sequential_Recommendation"):
        right, others = lettered(row)
        if not right:
            continue
        bought = list(map(str, row.input))
        rng = seeded.rng("\n".join([*bought, right]))
        rng.shuffle(others)
        entity = _entity(right)
        wrong = list(islice(_usable(others, entity), _OPTIONS - 1))
        history = list(islice(_usable(map(unmarked, reversed(bought)), entity), _PURCHASES))[::-1]
        if history and wrong:
            fields, also = {"history": [line for _, line in history]}, (other for other, _ in [*history, *wrong])
            yield multiple_choice(rng, entity, fields, right, [line for _, line in wrong], also)


def _usable(lines: Iterable[str], entity: str) -> Iterator[_Product]:
    """For training, what is not held out: so many products are shown that hardly a row is free of such ones."""
    products = ((_entity(line), line) for line in lines if line)
    return products if held_out(entity) else (product for product in products if not held_out(product[0]))


def _entity(line: str) -> str:
    """Of the product that ``line`` describes: its title, before its categories and its brand."""
    return title_entity(line.partition(". ")[0])
