"""The values of one attribute, as a product's text names them.

https://huggingface.co/datasets/NingLab/ECInstruct
ecinstruct/dataset.json, task Attribute_Value_Extraction (invented, shortened; None where the text is silent):

    {"input": "{\\"product title\\": \\"Fernhill Bamboo Tray\\", \\"target attributes\\": \\"Material\\"}",
     "output": "[{\\"attribute\\": \\"material\\", \\"value\\": \\"bamboo\\", \\"source\\": ...}]"}
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from dataset_builders.sources import ecinstruct
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import digest, distinct, one_line, spelled
from dataset_builders.tasks._ecinstruct import field, title_entity

_LONGEST = 1500  # characters of a product's text


@task(type=TaskType.NER, source="ecinstruct", track=1, llm="reword", quotes=("product",))
def build(raw: RawData, seeded: Seeded) -> Questions:
    for row in ecinstruct.examples(raw, "Attribute_Value_Extraction"):
        assert isinstance(row.input, dict)
        parts = {key: one_line(str(value), _LONGEST) for key, value in row.input.items()}
        parts.pop("target attributes", None)
        product = "\n".join(f"{key}: {value}" for key, value in parts.items() if value)
        if found := _found(row.values, " ".join(parts.values())):
            key = f"ecinstruct:{digest(product)}"
            attribute = seeded.rng(key).choice(sorted(found))
            title = field(row.input, "product title")
            entity = title_entity(title) if title else key
            yield Question(entity, {"product": product, "attribute": attribute}, found[attribute])


def _found(values: Sequence[ecinstruct.Value], text: str) -> dict[str, list[str]]:
    """Attribute -> its values as ``text`` spells them.

    A value is left out when the cut text lacks it, or when it holds a comma: commas separate the answers.
    """
    found: defaultdict[str, list[str]] = defaultdict(list)
    for attribute, value, _ in values:
        phrase = spelled(one_line(value), text) if value not in ("", "None") else None
        if phrase and "," not in phrase:
            found[attribute].append(phrase)
    return {attribute: distinct(phrases) for attribute, phrases in found.items()}
