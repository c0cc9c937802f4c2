"""What a prompt asks for, from its words alone: the task type, the numbers it lists, and how many it wants.

At the contest only ``is_multiple_choice`` is known beside the prompt (starter kit, KDD Cup 2024).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spine.errors import RecipeError
from spine.task_types import TaskType

# A prompt may be a megabyte of anything. What asks stands at its beginning or end, as where a model is given a part of
# it (`engines.requests.request_of`); what a pattern may skip has a bound, and no part can be read in two ways.
_READ = 100_000  # letters
_ANY = re.IGNORECASE
# A number in front of something: `3. a lamp`, ` 3) a lamp`, `3.lamp`. Not `3.5 inches` and not `2024. It was`.
_ITEM = re.compile(r"^[ \t]*(\d{1,2})[.):](?!\d)[ \t]*(?=\S)")
# A list may begin on the line of its label: `Products: 0. a lamp`.
_AFTER_LABEL = re.compile(r":[ \t]*([01])[.)][ \t]+(?=\S)")
_ON_ONE_LINE = re.compile(r"(?:^|\s)(\d{1,2})[.)][ \t]+(?=\S)")
_DIGIT = re.compile(r"(?<![\w.,])\d(?![\w]|[.,]\d)")
_RATING = re.compile(r"\b(?:scale|stars?|rat(?:e|ed|ing)|score|grade|evaluate|assess|judge)\b", _ANY)
# `yes or no`, `yes if the two are the same, otherwise respond with no`.
_YES_NO = re.compile(
    r"\byes\b(?:\s+(?:if|when|where)\b[^.?\n]{1,300}?)?[\s,;]{0,3}(?:\b(?:or|and|otherwise|else)\b|/)(?:\s+(?:respond|answer|reply|output|say|with)){0,2}\s{0,3}\bno\b",
    _ANY,
)

_QUOTED = re.compile(r"""(?<!\w)(?:'(.{1,600}?)'|"(.{1,600}?)"|‘(.{1,600}?)’|“(.{1,600}?)”)(?!\w)""", re.DOTALL)
_SLOT_LETTERS = 30  # longer texts in quotes are data, shorter ones may name what is looked for: 'brand'
_SLOT = "\0"
WORDS = ("yes", "no")  # between which a question may let choose without a list
_LABEL = 50  # letters of a last line that only asks for the answer: `Output (three numbers):`
# `Review: ...`, `product title: ...` hold data; what is asked stands in other lines, or after one of these labels.
_DATA = re.compile(r"^[ \t]*(?!(?:instructions?|task|question|input)\b)[\w()/]+(?: [\w()/]+){0,2} ?[:：]", _ANY)
_INPUT = re.compile(r"^[ \t]*input[ \t]*[:：].*", _ANY | re.MULTILINE)
_INSTRUCTION = re.compile(r"^[ \t]*instructions?[ \t]*[:：]", _ANY | re.MULTILINE)

_AT_LENGTH = re.compile(r"\bstep by step\b", _ANY)
_RANK = re.compile(
    r"\b(?:re-?)?rank(?:ed|s|ing|ings)?\b|\bpermutation\b"
    r"|\b(?:sort|order|arrange)\b[^.]{0,400}\b(?:by|from|in|so that)\b"
    r"|\bfrom the (?:most|best)\b[^.]{0,200}\bto the (?:least|worst)\b|\bfirst and\b[^.]{0,100}\bothers\b",
    _ANY,
)
_NUMBERS = re.compile(r"\b(?:numbers|indices|indexes|index|positions)\b|\bcommas?\b|\bfrom the (?:\w+ )?list\b", _ANY)
_NUMBER = re.compile(r"\b(?:its|one|the) number\b", _ANY)  # so does multiple choice
_COUNTS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
# `output three numbers`, `select the top 3 snippets`; what follows `a list of` says how long the list is instead.
_WANTED = re.compile(
    r"\b(?:select|choose|pick|identify|output|find|give|list|mark|name|only|answer in|respond with|which|their)\s+"
    r"(?:only |exactly |just |the |up to |top |most likely ){0,7}(\d|one|two|three|four|five)\b",
    _ANY,
)
_ENTITY = re.compile(
    r"\bentit(?:y|ies)\b|\battributes?\b[^.?\n]{0,400}\bvalues?\b|\bvalues? (?:of|for)\b|\battribute " + _SLOT, _ANY
)
# One phrase, or the gist: answered in free words, also where they are to be quoted.
_GIST = re.compile(r"\bkey ?(?:phrases?|words?)\b|\bquote\b|\bsummar|\bdescriptive\b|\bessen(?:ce|tial)|\bkey\b", _ANY)
_PART_OF_TEXT = re.compile(
    r"\b(?:words?|phrases?|parts?|section|component|element|span|attributes?)\b[^.?\n]{0,400}\b(?:title|query|text|name)\b",
    _ANY,
)
_FIND_SLOT = re.compile(
    r"\b(?:identify|locate|determine|pinpoint|extract|select|find|highlight|choose|copy|name)\b[^.?\n]{0,400}" + _SLOT,
    _ANY,
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
    numbers = tuple(listed)
    return _asked(_type(instruction, numbers, is_multiple_choice), prompt, instruction, numbers)


def asked_as(prompt: str, kind: TaskType) -> Asked:
    """What ``prompt`` asks for where its type is told.

    Raises:
        RecipeError: it lists nothing that could be retrieved or ranked.
    """
    listed, body = _list(prompt)
    if kind in (TaskType.RETRIEVAL, TaskType.RANKING) and not listed:
        raise RecipeError(f"the question has no numbered list, so that nothing is there for {kind.value}")
    return _asked(kind, prompt, _instruction(body), tuple(listed))


def listed_texts(prompt: str) -> dict[int, str]:
    """What stands behind each number of the list from which ``prompt`` lets choose."""
    return _list(prompt)[0]


def _type(instruction: str, listed: tuple[int, ...], is_multiple_choice: bool | None) -> TaskType:
    if is_multiple_choice or (is_multiple_choice is None and _looks_like_choice(instruction, listed)):
        return TaskType.MULTIPLE_CHOICE
    if _AT_LENGTH.search(instruction):
        return TaskType.GENERATION
    if listed and _RANK.search(instruction):
        return TaskType.RANKING
    if listed and (_NUMBERS.search(instruction) or (_wanted(instruction) or 0) > 1):
        return TaskType.RETRIEVAL
    if listed and is_multiple_choice is False and _NUMBER.search(instruction):
        return TaskType.RETRIEVAL
    return TaskType.NER if _asks_for_entities(instruction) else TaskType.GENERATION


def _asked(kind: TaskType, prompt: str, instruction: str, listed: tuple[int, ...]) -> Asked:
    if kind is TaskType.MULTIPLE_CHOICE:
        return _choice(prompt, instruction, listed)
    if kind is TaskType.RANKING:
        return Asked(kind, listed, len(listed))
    if kind is TaskType.RETRIEVAL:
        wanted = _wanted(instruction)
        return Asked(kind, listed, min(wanted, len(listed)) if wanted else None)
    return Asked(kind)


def _list(prompt: str) -> tuple[dict[int, str], str]:
    """The last numbered list, from 0 or 1 on and with a gap where it has one: its texts; the other lines."""
    if len(prompt) > _READ:
        prompt = f"{prompt[: _READ // 3]}\n{prompt[-_READ * 2 // 3 :]}"
    rows = prompt.splitlines()
    lists: list[dict[int, tuple[int, str]]] = []  # number: its line, its text
    for number, line, text in _items(rows):
        last = max(lists[-1]) if lists else None
        if last is not None and last < number <= last + 2:
            lists[-1][number] = line, text
        elif number <= 1:
            lists.append({number: (line, text)})
    whole = [found for found in lists if len(found) > 1]
    if not whole:
        return {}, prompt
    lines = {line for line, _ in whole[-1].values()}
    kept = "\n".join(text for at, text in enumerate(rows) if at not in lines)
    return {number: text for number, (_, text) in whole[-1].items()}, kept


def _items(rows: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Number, line, and the text behind the number."""
    for at, row in enumerate(rows):
        if found := _ITEM.match(row) or _AFTER_LABEL.search(row):
            yield int(found[1]), at, row[found.end() :].strip()


def _instruction(body: str) -> str:
    """The lines that ask, without those that hold data; quoted texts are left out, short ones marked.

    The last line asks as well: ``Answer (two words):``. A quoted yes or no is an answer, no data.
    """
    if _INSTRUCTION.search(body):  # then `Input:` holds data; without it, some prompts ask there
        body = _INPUT.sub("", body)

    def marked(quoted: re.Match[str]) -> str:
        if (word := quoted[0][1:-1]).lower() in WORDS:
            return word
        return _SLOT if len(quoted[0]) <= _SLOT_LETTERS else ""

    *lines, last = _QUOTED.sub(marked, body.rstrip()).split("\n")
    return "\n".join(line for line in (*lines, last) if not _DATA.match(line) or (line is last and len(last) <= _LABEL))


def _choice(prompt: str, instruction: str, listed: tuple[int, ...]) -> Asked:
    scale = _scale(instruction)
    if scale and listed[:1] != (0,):  # a review may well count its complaints
        return Asked(TaskType.MULTIPLE_CHOICE, scale, 1)
    if listed := listed or _on_one_line(prompt):
        return Asked(TaskType.MULTIPLE_CHOICE, listed, 1)
    return Asked(TaskType.MULTIPLE_CHOICE, wanted=1, words=WORDS if _YES_NO.search(instruction) else ())


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
