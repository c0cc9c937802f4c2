"""MMLU's questions as they are published."""

from __future__ import annotations

from collections.abc import Iterable

from dataset_builders.sources.mmlu import Item
from dataset_builders.task import Question, Questions
from dataset_builders.tasks._common import mmlu_entity


def exam_questions(items: Iterable[Item]) -> Questions:
    """Those with four different choices. Their order stays: choices like "both A and C" point at the others, and the
    letters are even as published."""
    for item in items:
        options = [" ".join(choice.split()) for choice in item.choices]
        if item.question and len(set(filter(None, options))) == len(options):
            yield Question(mmlu_entity(item.question), {"question": item.question, "options": options}, item.answer)
