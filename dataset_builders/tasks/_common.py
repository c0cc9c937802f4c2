"""What several builders share: tidy texts, a fair place for the right answer, a memory of recent rows."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from dataset_builders.task import Question

T = TypeVar("T")

# Japanese and Chinese write words together, so that only these letters go on with a word.
_LETTER = r"[0-9A-Za-zÀ-ÖØ-öø-ÿ]"
_PASSAGE = 100  # characters of a question of MMLU
_WORD = re.compile(r"[^\W\d_]{4,}")


def one_line(text: str, limit: int = 10_000) -> str:
    """``text`` on one line, cut after a word once it passes ``limit`` characters."""
    return _cut(" ".join(text.split()), limit)


def lines(text: str, limit: int = 10_000) -> str:
    """``one_line``, but lines stay lines: where one ends, a sentence does."""
    return _cut("\n".join(filter(None, (" ".join(line.split()) for line in text.splitlines()))), limit)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit + 1].rpartition(" ")[0] or text[:limit]


def words(text: str) -> set[str]:
    """Its words of four letters or more, lower-cased: those that tell what it is about."""
    return set(_WORD.findall(text.lower()))


def reworded(text: str, title: str) -> bool:
    """Whether ``text`` tells hardly more than the title: of three words that it has, two stand there."""
    told = words(text)
    return len(told - words(title)) <= len(told) / 3


def spelled(phrase: str, text: str) -> str | None:
    """``phrase`` as ``text`` spells it, where it stands there as words of its own."""
    found = re.search(rf"(?<!{_LETTER}){re.escape(phrase)}(?!{_LETTER})", text, re.IGNORECASE)
    return found[0] if found else None


def product_entity(id: str) -> str:
    """A product is the same on every site and in every source: the split holds across all of them."""
    return f"product:{id}"


def query_entity(query: str) -> str:
    """So is a query."""
    return f"query:{query.lower()}"


def mmlu_entity(question: str) -> str:
    """Several questions of MMLU are on one passage (RACE), and it comes first: they share an entity."""
    return f"mmlu:{digest(question[:_PASSAGE])}"


def digest(text: str) -> str:
    """A short name for a row whose source gives it none."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def distinct(values: Iterable[str]) -> list[str]:
    """Without repetitions that differ in case only; first come, first kept."""
    seen: dict[str, str] = {}
    for value in values:
        seen.setdefault(value.casefold(), value)
    return list(seen.values())


def placed(rng: random.Random, right: Sequence[T], wrong: Sequence[T]) -> tuple[list[T], list[int]]:
    """Both mixed, every order equally likely; and the 0-based positions of the right ones, ascending."""
    order = list(range(len(right) + len(wrong)))
    rng.shuffle(order)
    mixed = [*right, *wrong]
    return [mixed[item] for item in order], [at for at, item in enumerate(order) if item < len(right)]


def multiple_choice(
    rng: random.Random, entity: str, fields: Mapping[str, Any], right: str, wrong: Sequence[str],
    also: Iterable[str] = (), key: str = "",
) -> Question:  # fmt: skip
    """With the ``options`` in any order; what else: see ``Question``."""
    options, (answer,) = placed(rng, [right], wrong)
    return Question(entity, {**fields, "options": options}, answer, tuple(also), key=key)


def retrieval(
    rng: random.Random, entity: str, fields: Mapping[str, Any], right: Sequence[str], wrong: Sequence[str],
    also: Iterable[str] = (), key: str = "",
) -> Question:  # fmt: skip
    """With the ``items`` in any order; the truth counts them from 1. What else: see ``Question``."""
    items, places = placed(rng, right, wrong)
    return Question(entity, {**fields, "items": items}, [place + 1 for place in places], tuple(also), key=key)


class Recent(Generic[T]):
    """The last ``size`` rows seen: wrong answers come from here, so that memory stays bounded."""

    def __init__(self, size: int = 1000) -> None:
        self._size, self._rows, self._seen = size, list[T](), 0

    def add(self, row: T) -> None:
        if len(self._rows) < self._size:
            self._rows.append(row)
        else:
            self._rows[self._seen % self._size] = row
        self._seen += 1

    def sample(self, rng: random.Random, count: int) -> list[T]:
        """At most ``count`` different ones of them."""
        return rng.sample(self._rows, min(count, len(self._rows)))
