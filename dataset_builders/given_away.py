"""Questions whose answer stands in them: not asked, since they teach to copy.

The check is one for all builders. A field that may quote the answer, since the task is to find it there, is named by
the builder: ``@task(..., quotes=("title",))``. Choices, among which the answer must stand, are no such fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from dataset_builders.task import Question, Task
from spine.task_types import TaskType

_CHOICES = ("options", "items")
_WORD = re.compile(r"\w+")
_SHORT = 4  # letters; a shorter answer, as "no" or "12", stands anywhere
_LONG, _COPIED = 5, 0.8  # words of an answer, of whose pairs of neighbours so many in one field tell it
_NUMBER = r"(?:zero|no|half|one|two|three|four|five|una?|dos|tres|cuatro|cinco|[0-5](?:[.,]\d)?)"
_STARS = re.compile(  # of a text in lower case
    # "4 stars", "a five-star hat", "two and a half stars"
    rf"\b{_NUMBER}(?: (?:and|&) a half)?[ -]?(?:(?:full|whole|big|solid) )?(?:stars?|estrellas?)\b"
    # "another star off", "I took a star away", "star rating"
    r"|\b(?:a|an|another|last|fifth|less|fewer|minus|lost|loses|lose|more)"
    r"(?: (?:a|full|half|last|one|single|the|whole))? stars?\b"
    r"|\bstars? (?:off|less|away|down|rating|review|because|for|due|from|instead)\b"
    # "4/5", "9 out of 10", "gave it a 3."
    r"|(?<!size )\b\d+(?:\.\d)? ?(?:/|out of) ?(?:5|10|five|ten)\b(?![/\d])"
    r"|\b(?:giv(?:e|es|ing)|gave|rat(?:e|es|ed|ing))\b(?: \w+){0,3} (?:an? )?(?:[1-5]|two|three|four|five)"
    r"(?= because| since| but| due| only|[.,;!)]|$)"
    r"|[★☆⭐]"
)
# One of these is in whatever the pattern finds: most texts need no more than this look.
_STARRY = ("star", "estrella", "/", "out of", "gave", "giv", "rate", "rating", *"★☆⭐")


def tells_stars(text: str) -> bool:
    """Whether the writer says how many stars a product got, or would have got.

    >>> tells_stars("I only gave them 4 stars, the heel is thin"), tells_stars("A scarf with glittery stars")
    (True, False)
    """
    lowered = text.lower()
    return any(part in lowered for part in _STARRY) and _STARS.search(lowered) is not None


def given_away(task: Task, question: Question) -> str | None:
    """Where ``question`` tells its own answer, in a few words; ``None`` where it does not."""
    kind = question.type or task.type
    if task.rates and any(tells_stars(text) for _, text in _texts(question)):
        return "its text tells the stars"
    asked = [*_texts(question, but=(*task.quotes, *_CHOICES))]
    for answer in _answers(kind, question) if asked else ():
        words = _words(answer)
        if words and sum(map(len, words)) >= _SHORT:
            for name, text in asked:
                if _stands_in(words, text):
                    return f"its {name.replace('_', ' ')} tells the answer"
    return None


def _stands_in(words: list[str], text: str) -> bool:
    """Whether all of them, in their order, or nearly so."""
    if words[0] not in (lowered := text.casefold()) and (len(words) < _LONG or words[1] not in lowered):
        return False
    there = _words(lowered)
    if f" {' '.join(words)} " in f" {' '.join(there)} ":
        return True
    pairs = set(pairwise(words))
    return len(words) >= _LONG and len(pairs & set(pairwise(there))) >= _COPIED * len(pairs)


def _words(text: str) -> list[str]:
    """Case-folded, without a plural's s."""
    return [word[:-1] if len(word) > 3 and word[-1] == "s" else word for word in _WORD.findall(text.casefold())]


def _texts(question: Question, but: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """The texts that are shown, each with the name of its field, ``but`` those of some fields."""
    shown = ((name, value) for name, value in question.fields.items() if name not in but)
    return ((name, text) for name, value in shown for text in _texts_in(value))


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts_in(each)


def _answers(kind: TaskType, question: Question) -> list[str]:
    """What would tell the answer if it stood elsewhere: the right choices, of a ranking the first ones."""
    truth, fields = question.truth, question.fields
    if isinstance(truth, str):
        return [truth]
    if isinstance(truth, int):
        return [fields["options"][truth]] if "options" in fields else []
    if kind is TaskType.RANKING:
        return [item for item, weight in zip(fields["items"], truth, strict=True) if weight == max(truth)]
    return [fields["items"][at - 1] if isinstance(at, int) else str(at) for at in truth]
