"""Tells whether a question can be asked and answered at all, before it is mixed into a blend.

Names of fields, by convention: ``options`` of a multiple choice (numbered from 0), ``items`` of a retrieval
or a ranking (numbered from 1). The limits are those of ShopBench's parsers, see ``inference.scoring.parsers``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dataset_builders.task import Question
from spine.task_types import RANKED, RETRIEVED, TaskType

STARS = range(1, 6)  # the answers where no options are listed: ratings
MOST_OPTIONS = 10  # one digit is read


def problem(task_type: TaskType, question: Question) -> str | None:
    """Why ``question`` is unfit, in a few words; ``None`` when it is fit."""
    truth, fields = question.truth, question.fields
    match task_type:
        case TaskType.MULTIPLE_CHOICE:
            return _multiple_choice(truth, fields.get("options"))
        case TaskType.RETRIEVAL:
            return _listed(fields.get("items")) or _retrieval(truth, len(fields["items"]))
        case TaskType.RANKING:
            return _listed(fields.get("items")) or _ranking(truth, len(fields["items"]))
        case TaskType.NER:
            return _entities(truth)
        case TaskType.GENERATION:
            return None if isinstance(truth, str) and truth.strip() else "the answer is empty"


def _listed(values: Any) -> str | None:
    """What is wrong with a list that the prompt numbers: each line must be one, and another, choice."""
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) < 2:
        return "fewer than two choices are listed"
    if not all(isinstance(value, str) and value.strip() for value in values):
        return "a choice is empty"
    return None if len(set(values)) == len(values) else "two choices are the same"


def _multiple_choice(truth: Any, options: Any) -> str | None:
    if not isinstance(truth, int):
        return "the answer is not a number"
    if options is None:
        return None if truth in STARS else f"the answer {truth} is no rating from 1 to 5"
    if (trouble := _listed(options)) is not None:
        return trouble
    if len(options) > MOST_OPTIONS:
        return f"{len(options)} options: an answer is one digit"
    return None if 0 <= truth < len(options) else f"the answer {truth} is not among the options"


def _retrieval(truth: Any, count: int) -> str | None:
    if not 0 < len(truth) <= RETRIEVED:
        return f"{len(truth)} positions: 1 to {RETRIEVED} are read"
    if len(set(truth)) < len(truth):
        return "a position is given twice"
    outside = [position for position in truth if not 1 <= position <= count]
    return f"position {outside[0]} is not in the list" if outside else None


def _ranking(truth: Any, count: int) -> str | None:
    if len(truth) != count:
        return f"{len(truth)} weights for {count} items"
    if count > RANKED:
        return f"{count} items: at most {RANKED} are read"
    return None if len(set(truth)) > 1 else "all weights are equal"


def _entities(truth: Any) -> str | None:
    if isinstance(truth, str) or not truth:
        return "no phrase is given"
    for phrase in truth:
        if not phrase.strip():
            return "a phrase is empty"
        if "," in phrase or "\n" in phrase:
            return f"the phrase {phrase!r} holds a comma or a line end"
    return None if len(set(truth)) == len(truth) else "a phrase is given twice"
