"""Entities that a model finds in a text, checked against the text."""

from __future__ import annotations

from dataset_builders.synthesis.declare import Answer, Unfit
from dataset_builders.synthesis.rules import within
from dataset_builders.tasks._common import distinct


def found_entities(answer: Answer, text: str, what: str) -> dict[str, list[str]]:
    """Entity type -> phrases as ``text`` spells them, where there are any. Every phrase stands in the text, and none
    belongs to two types.

    Raises:
        Unfit: one does not, or does.
    """
    found: dict[str, list[str]] = {}
    taken: dict[str, str] = {}
    for field, phrases in answer.model_dump().items():
        for phrase in distinct(within(phrase, text, what) for phrase in phrases):
            if taken.setdefault(phrase.lower(), field) != field:
                raise Unfit("two types at once", f"{phrase!r} is given as {taken[phrase.lower()]} and as {field}")
            found.setdefault(field.replace("_", " "), []).append(phrase)
    return found
