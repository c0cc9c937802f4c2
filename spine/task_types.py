"""ShopBench's five task types: their names, and the text form in which each one's answer is given.

Source of the forms: the parsers of the organisers' starter kit, KDD Cup 2024 (see ``inference.scoring.parsers``).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

Truth = int | str | Sequence[int] | Sequence[str] | Sequence[float]


class TaskType(StrEnum):
    """Values are ShopBench's ``task_type``; ``phrase`` is what the winners' system prompt calls it."""

    MULTIPLE_CHOICE = "multiple-choice"
    RETRIEVAL = "retrieval"
    RANKING = "ranking"
    NER = "named_entity_recognition"
    GENERATION = "generation"

    @property
    def short(self) -> str:
        """For narrow tables."""
        return {"multiple-choice": "mc", "named_entity_recognition": "ner", "generation": "gen"}.get(self, self.value)

    @property
    def phrase(self) -> str:
        if self is TaskType.MULTIPLE_CHOICE:
            return "multiple-choice question answering"
        return self.value.replace("_", " ")


def answer_text(task_type: TaskType, truth: Truth) -> str:
    """The answer a model should give, in exactly the form ShopBench's parser for ``task_type`` reads.

    ``truth`` has ShopBench's ``output_field`` form: int; list[int] of 1-based positions (retrieval);
    list[float] of relevance weights, one per listed item (ranking); list[str] (NER); str (generation).
    Equal weights keep the order of the list, so that there is one right answer to train on.
    """
    if isinstance(truth, str | int):
        return str(truth).strip()
    if task_type is TaskType.RANKING:
        weights = [float(weight) for weight in truth]
        order = sorted(range(len(weights)), key=lambda item: -weights[item])
        return ",".join(str(item + 1) for item in order)
    separator = ", " if task_type is TaskType.NER else ","
    return separator.join(str(item) for item in truth)
