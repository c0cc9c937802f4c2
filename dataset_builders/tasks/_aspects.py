"""What a review speaks of, told by its words: clauses, their aspects, and whether they praise or blame.

The words lie in ``_aspects.yaml``. What they cannot tell for sure is left open: a clause on two aspects, praise next
to a denial.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from spine.yamlfile import read_lists

_FILE = Path(__file__).with_name("_aspects.yaml")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
# A clause ends where a sentence does, or where another subject or an objection begins.
_END = re.compile(
    r"[!?;()\"“”…]|[.,:](?!\d)|\s[-–—]+\s|--+"
    r"|\b(?:but|however|although|though|because|while|except)\b"
    r"|\band(?=\s+(?:i|it|he|she|they|we|you|the|this|these|my|our|there)\b)",
    re.I,
)
# What a phrase does without: "and it is very light" tells "very light".
_LEAD = re.compile(
    r"^(?:(?:and|also|plus|that|which|the|this|these|it|they|he|she|i|we|is|are|was|were|be|has|have|had"
    r"|a|an|it['’]s|its|they['’]re|i['’]m|i['’]ve)\s+)+",
    re.I,
)
_MARKS = " '’*~&/-"
_TAIL = re.compile(r"(?:\s+(?:and|or|so|yet|with|as|that|which))+$", re.I)
_HINT, _WORDED, _CLEAR = range(3)


class Phrase(NamedTuple):
    """A clause of a review.

    Attributes:
        text: as it stands there, without the words that only lead in or out.
        about: the aspects that it speaks of, sorted; a name counts more than a word that merely fits.
        touched: these and all others that it may speak of.
        verdict: 1 it praises, -1 it blames, 0 it does neither or one cannot be sure.
    """

    text: str
    about: tuple[str, ...]
    touched: frozenset[str]
    verdict: int


class _Entry(NamedTuple):
    rest: tuple[str, ...]  # the words after the first
    aspect: str  # "" for praise, blame, doubts and idioms
    rank: int
    verdicts: tuple[int, ...]  # both for a doubt


class _Lexicon(NamedTuple):
    words: Mapping[str, list[_Entry]]  # by the first word
    stems: Mapping[str, list[_Entry]]  # by the start of it
    kin: Mapping[str, frozenset[str]]


def phrases(text: str) -> list[Phrase]:
    """The clauses of ``text``, which is one line, that may speak of any aspect."""
    return [phrase for clause in _clauses(text) if (phrase := _phrase(clause)) is not None]


def aspects() -> list[str]:
    """All of the lexicon, sorted."""
    return sorted(_lexicon().kin)


def kin(aspect: str) -> frozenset[str]:
    """The aspect itself and those that it could be taken for."""
    return _lexicon().kin[aspect]


def _clauses(text: str) -> Iterator[str]:
    start = 0
    for end in _END.finditer(text):
        yield text[start : end.start()]
        start = end.end()
    yield text[start:]


@lru_cache(maxsize=50_000)  # "works great" is said again and again
def _phrase(clause: str) -> Phrase | None:
    words = tuple(_WORD.findall(clause.lower().replace("’", "'")))
    ranks: dict[str, int] = {}
    verdicts: set[int] = set()
    at = 0
    while at < len(words):
        entries = _entries(words[at])
        at += 1
        longest = 0
        for rest, aspect, rank, told in entries:
            if len(rest) < longest:
                break
            if not rest or words[at : at + len(rest)] == rest:
                longest = len(rest)
                verdicts.update(told)
                if aspect:
                    ranks[aspect] = max(rank, ranks.get(aspect, 0))
        at += longest
    if not ranks:
        return None
    top = max(_WORDED, *ranks.values())
    about = tuple(sorted(aspect for aspect, rank in ranks.items() if rank == top))
    verdict = verdicts.pop() if len(verdicts) == 1 else 0
    text = _LEAD.sub("", _TAIL.sub("", clause.strip(_MARKS)), count=1).strip(_MARKS)
    return Phrase(text, about, frozenset(ranks), verdict)


@lru_cache(maxsize=100_000)
def _entries(word: str) -> tuple[_Entry, ...]:
    """All that may begin with ``word``, the longest first."""
    lexicon = _lexicon()
    stems = (lexicon.stems.get(word[:length], ()) for length in range(2, len(word) + 1))
    found = [*lexicon.words.get(word, ()), *(entry for entries in stems for entry in entries)]
    return tuple(sorted(found, key=lambda entry: -len(entry.rest)))


@cache
def _lexicon() -> _Lexicon:
    raw: dict[str, Any] = read_lists(_FILE)
    words: defaultdict[str, list[_Entry]] = defaultdict(list)
    stems: defaultdict[str, list[_Entry]] = defaultdict(list)

    def add(texts: Iterable[str], aspect: str = "", rank: int | None = None, verdicts: tuple[int, ...] = ()) -> None:
        for text in texts:
            first, *rest = text.split(" ")
            entry = _Entry(tuple(rest), aspect, (_CLEAR if rest else _WORDED) if rank is None else rank, verdicts)
            (stems if first.endswith("*") else words)[first.rstrip("*")].append(entry)

    for aspect, lists in raw["aspects"].items():
        add(lists["names"], aspect, _CLEAR)
        add(lists.get("hints", ()), aspect, _HINT)
        add(lists.get("good", ()), aspect, verdicts=(1,))
        add(lists.get("bad", ()), aspect, verdicts=(-1,))
    add(raw["praise"], verdicts=(1,))
    add(raw["blame"], verdicts=(-1,))
    add(raw["doubts"], verdicts=(1, -1))
    add(raw["idioms"])
    near: dict[str, set[str]] = {aspect: {aspect} for aspect in raw["aspects"]}
    for group in raw["kin"]:
        for aspect in group:
            near[aspect] |= {*group}
    return _Lexicon(words, stems, {aspect: frozenset(group) for aspect, group in near.items()})
