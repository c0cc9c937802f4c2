"""ShopBench's parsers: what the contest reads out of a model's answer.

They follow the organisers' starter kit (KDD Cup 2024, ``parsers.py`` version 0.1.1) case by case, oddities
included, because a score of ours must equal theirs on the same outputs. None of them ever fails.
"""

from __future__ import annotations

import ast
import warnings

from spine.task_types import RANKED, RETRIEVED, TaskType

READ = 5_000  # characters; what follows is ignored


def parse(task_type: TaskType, text: str) -> int | str | list[int] | list[str]:
    """The answer in ``text``: int (multiple choice), list[int] of 1-based positions (ranking, retrieval),
    list[str] (NER) or str (generation)."""
    text = text[:READ]
    match task_type:
        case TaskType.MULTIPLE_CHOICE:
            return multiple_choice(text)
        case TaskType.RANKING:
            return ranking(text)
        case TaskType.RETRIEVAL:
            return retrieval(text)
        case TaskType.NER:
            return named_entities(text)
        case TaskType.GENERATION:
            return text.strip()


def multiple_choice(text: str) -> int:
    """The first character that is no blank, as a number; -1 when it is none. ``10`` is thus 1."""
    try:
        return int(text.strip()[0])
    except (ValueError, IndexError):
        return -1


def ranking(text: str) -> list[int]:
    """The first five numbers up to 5; nothing at all when one of these is there twice."""
    numbers = [number for number in _numbers(text) if number <= RANKED][:RANKED]
    return numbers if len(set(numbers)) == len(numbers) else []


def retrieval(text: str) -> list[int]:
    """The first three numbers, repeated ones too."""
    return _numbers(text)[:RETRIEVED]


def named_entities(text: str) -> list[str]:
    """A printed Python list of texts as it is; anything else split at the commas, without blanks and gaps."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's remarks on the "source code" that an answer is not
            value = ast.literal_eval(text)
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return value
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pass
    return [item.strip() for item in text.split(",") if item.strip()]


def _numbers(text: str) -> list[int]:
    """Drops all but digits, commas and blanks, then splits: ``1) 2, x3`` gives 3 alone (``1 2`` is none)."""
    kept = "".join(char for char in text if char.isnumeric() or char in ", ")
    numbers = []
    for item in kept.split(","):
        try:
            numbers.append(int(item))
        except ValueError:  # nothing, `1 2`, `½`
            continue
    return numbers
