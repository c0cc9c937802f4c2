"""MMLU's questions as they are published."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dataset_builders.sources.mmlu import Item
from dataset_builders.task import Question, Questions
from dataset_builders.tasks._common import mmlu_entity

_OF_A_LIST = re.compile(r"\d(?:, ?\d)+").fullmatch  # "1,3", "1,2,4"


def exam_questions(items: Iterable[Item]) -> Questions:
    """Those with four different choices that do not point at a list of which the last line alone is left.

    Their order stays: choices like "both A and C" point at the others, and the letters are even as published.
    """
    for item in items:
        options = [" ".join(choice.split()) for choice in item.choices]
        lost = all(map(_OF_A_LIST, options)) and not re.search(r"\d", item.question)
        if item.question and len(set(filter(None, options))) == len(options) and not lost:
            yield Question(mmlu_entity(item.question), {"question": item.question, "options": options}, item.answer)
