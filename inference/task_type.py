"""What a prompt asks for, from its words alone: the task type, the numbers it lists, and how many it wants.

At the contest only ``is_multiple_choice`` is known beside the prompt (starter kit, KDD Cup 2024).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from recipe.task_types import TaskType

_ANY = re.IGNORECASE
# A number in front of something: `3. a lamp`, ` 3) a lamp`, `3.lamp`. Not `3.5 inches` and not `2024. It was`.
_ITEM = re.compile(r"^[ \t]*(\d{1,2})[.):](?!\d)[ \t]*(?=\S)")
# A list may begin on the line of its label: `Products: 0. a lamp`.
_AFTER_LABEL = re.compile(r":[ \t]*([01])[.)][ \t]+(?=\S)")
_ON_ONE_LINE = re.compile(r"(?:^|\s)(\d{1,2})[.)][ \t]+(?=\S)")
_DIGIT = re.compile(r"(?<![\w.,])\d(?![\w]|[.,]\d)")
_RATING = re.compile(r"\b(?:scale|stars?|rat(?:e|ed|ing)|score|grade|evaluate|assess|judge)\b", _ANY)
_YES_NO = re.compile(r"\byes\b[\"']?\s*(?:or|and|/)\s*[\"']?no\b", _ANY)

_QUOTED = re.compile(r"""(?<!\w)(?:'(.{1,600}?)'|"(.{1,600}?)"|‘(.{1,600}?)’|“(.{1,600}?)”)(?!\w)""", re.DOTALL)
_SLOT_LETTERS = 30  # longer texts in quotes are data, shorter ones may name what is looked for: 'brand'
_SLOT = "\0"
_LABEL = 50  # letters of a last line that only asks for the answer: `Output (three numbers):`
# `Review: ...`, `product title: ...` hold data; what is asked stands in other lines, or after one of these labels.
_DATA = re.compile(r"^[ \t]*(?!(?:instructions?|task|question|input)\b)(?:[\w()/]+ ?){1,3}[:：]", _ANY)
_INPUT = re.compile(r"^[ \t]*input[ \t]*[:：].*", _ANY | re.MULTILINE)
_INSTRUCTION = re.compile(r"^[ \t]*instructions?[ \t]*[:：]", _ANY | re.MULTILINE)

_AT_LENGTH = re.compile(r"\bstep by step\b", _ANY)
_RANK = re.compile(
    r"\b(?:re-?)?rank(?:ed|s|ing|ings)?\b|\bpermutation\b|\b(?:sort|order|arrange)\b[^.]*\b(?:by|from|in)\b", _ANY
)
_NUMBERS = re.compile(r"\b(?:numbers|indices|indexes|index|positions)\b|\bcommas?\b|\bfrom the (?:\w+ )?list\b", _ANY)
_COUNTS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
# `output three numbers`, `select the top 3 snippets`; what follows `a list of` says how long the list is instead.
_WANTED = re.compile(
    r"\b(?:select|choose|pick|identify|output|find|give|list|mark|name|only|answer in|respond with|which|their)\s+"
    r"(?:only |exactly |just |the |up to |top |most likely )*(\d|one|two|three|four|five)\b",
    _ANY,
)
_ENTITY = re.compile(
    r"\bentit(?:y|ies)\b|\battributes?\b[^.?\n]*\bvalues?\b|\bvalues? (?:of|for)\b|\battribute " + _SLOT, _ANY
)
# One phrase, or the gist: answered in free words, also where they are to be quoted.
_GIST = re.compile(r"\bkey ?(?:phrases?|words?)\b|\bquote\b|\bsummar|\bdescriptive\b|\bessen(?:ce|tial)|\bkey\b", _ANY)
_PART_OF_TEXT = re.compile(
    r"\b(?:words?|phrases?|parts?|section|component|element|span|attributes?)\b[^.?\n]*\b(?:title|query|text|name)\b",
    _ANY,
)
_FIND_SLOT = re.compile(
    r"\b(?:identify|locate|determine|pinpoint|extract|select|find|highlight|choose|copy|name)\b[^.?\n]*" + _SLOT, _ANY
)
_OF_TEXT = re.compile(r"\b(?:title|query|search|text|description|name)\b", _ANY)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a prompt asks for.

    Attributes:
        listed: the numbers in front of what it really lists, in order; for a rating, the numbers of the scale.
        wanted: how many of them it asks for; None where it does not say.
        words: the words between which it lets choose, where these are not numbers (``yes``, ``no``).
    """

    type: TaskType
    listed: tuple[int, ...] = ()
    wanted: int | None = None
    words: tuple[str, ...] = ()


def asked(prompt: str, is_multiple_choice: bool | None) -> Asked:
    """What ``prompt`` asks for. ``is_multiple_choice``: None where nobody tells (a question typed by a user)."""
    listed, body = _list(prompt)
    instruction = _instruction(body)
    if is_multiple_choice or (is_multiple_choice is None and _looks_like_choice(instruction, listed)):
        return _choice(prompt, instruction, listed)
    if _AT_LENGTH.search(instruction):
        return Asked(TaskType.GENERATION)
    if listed and _RANK.search(instruction):
        return Asked(TaskType.RANKING, listed, len(listed))
    wanted = _wanted(instruction)
    if listed and (_NUMBERS.search(instruction) or (wanted or 0) > 1):
        return Asked(TaskType.RETRIEVAL, listed, min(wanted, len(listed)) if wanted else None)
    return Asked(TaskType.NER if _asks_for_entities(instruction) else TaskType.GENERATION)


def _list(prompt: str) -> tuple[tuple[int, ...], str]:
    """The numbers of the last numbered list, from 0 or 1 on and with a gap where it has one; the other lines."""
    lists: list[list[tuple[int, int]]] = []  # of (number, line)
    for number, line in _items(prompt):
        last = lists[-1][-1][0] if lists else None
        if last is not None and last < number <= last + 2:
            lists[-1].append((number, line))
        elif number <= 1:
            lists.append([(number, line)])
    whole = [found for found in lists if len(found) > 1]
    if not whole:
        return (), prompt
    lines = {line for _, line in whole[-1]}
    kept = "\n".join(text for at, text in enumerate(prompt.splitlines()) if at not in lines)
    return tuple(number for number, _ in whole[-1]), kept


def _items(prompt: str) -> Iterator[tuple[int, int]]:
    for at, line in enumerate(prompt.splitlines()):
        if found := _ITEM.match(line) or _AFTER_LABEL.search(line):
            yield int(found[1]), at


def _instruction(body: str) -> str:
    """The lines that ask, without those that hold data; quoted texts are left out, short ones marked.

    The last line asks as well: ``Answer (two words):``.
    """
    if _INSTRUCTION.search(body):  # then `Input:` holds data; without it, some prompts ask there
        body = _INPUT.sub("", body)

    def marked(quoted: re.Match[str]) -> str:
        return _SLOT if len(quoted[0]) <= _SLOT_LETTERS else ""

    *lines, last = _QUOTED.sub(marked, body.rstrip()).split("\n")
    return "\n".join(line for line in (*lines, last) if not _DATA.match(line) or (line is last and len(last) <= _LABEL))


def _choice(prompt: str, instruction: str, listed: tuple[int, ...]) -> Asked:
    scale = _scale(instruction)
    if scale and listed[:1] != (0,):  # a review may well count its complaints
        return Asked(TaskType.MULTIPLE_CHOICE, scale, 1)
    if listed := listed or _on_one_line(prompt):
        return Asked(TaskType.MULTIPLE_CHOICE, listed, 1)
    return Asked(TaskType.MULTIPLE_CHOICE, wanted=1, words=("yes", "no") if _YES_NO.search(instruction) else ())


def _scale(instruction: str) -> tuple[int, ...]:
    """The numbers of the scale on which something is to be rated."""
    digits = [int(digit) for digit in _DIGIT.findall(instruction)] if _RATING.search(instruction) else []
    return tuple(range(min(digits), max(digits) + 1)) if digits and min(digits) <= 1 and max(digits) > 2 else ()


def _on_one_line(prompt: str) -> tuple[int, ...]:
    """The options of ``0. red 1. blue 2. green``."""
    numbers = [int(found[1]) for found in _ON_ONE_LINE.finditer(prompt)]
    start = max((at for at, number in enumerate(numbers) if number == 0), default=len(numbers))
    run = [number for at, number in enumerate(numbers[start:]) if number == at]
    return tuple(run) if len(run) > 1 else ()


def _looks_like_choice(instruction: str, listed: tuple[int, ...]) -> bool:
    if _AT_LENGTH.search(instruction):
        return False
    if not listed:
        return bool(_scale(instruction) or _YES_NO.search(instruction))
    several = _NUMBERS.search(instruction) or (_wanted(instruction) or 1) > 1
    return not several and not _RANK.search(instruction)


def _wanted(instruction: str) -> int | None:
    counts = [found[1].lower() for found in _WANTED.finditer(instruction)]
    return next((_COUNTS.get(count) or int(count) for count in counts if count != "0"), None)


def _asks_for_entities(instruction: str) -> bool:
    if _ENTITY.search(instruction):
        return True
    if _GIST.search(instruction):
        return False
    slot = _FIND_SLOT.search(instruction) and _OF_TEXT.search(instruction)
    return bool(slot or _PART_OF_TEXT.search(instruction))
