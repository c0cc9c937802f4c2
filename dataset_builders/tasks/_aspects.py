"""What a review speaks of, told by its words: clauses, their aspects, and whether they praise or blame.

The words lie in ``_aspects.yaml``. What they cannot tell for sure is left open: a clause on two aspects, praise next
to a denial or behind one, "soft/light", a question.
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
    r"[!?;()\"“”…\n]|[.,:](?!\d)|\s[-–—]+\s|--+"
    r"|\b(?:but|however|although|though|because|while|except)\b"
    r"|\band(?=\s+(?:i|it|he|she|they|we|you|the|this|these|my|our|there)\b)",
    re.I,
)
# After one of these a denial that came before is over: "not soft, or even comfortable" denies both.
_OVER = re.compile(r"[!?;.…]|\w+", re.ASCII)
_GOES_ON = re.compile(r"\s*(?:n?or|neither|not even|let alone|much less)\b", re.I)
_SEVERAL = re.compile(r"\w/\w")  # "look/feel great" is said of both
# What a phrase does without: "and it is very light" tells "very light".
_LEAD = re.compile(
    r"^(?:(?:and|also|plus|so(?= (?:an?|the|it|they|i|my)\b)"
    r"|that|which|the|this|these|it|they|he|she|i|we|is|are|was|were|be|has|have|had"
    r"|a|an|it['’]s|its|they['’]re|i['’]m|i['’]ve)\s+)+",
    re.I,
)
_MARKS = " '’*~&/-"
_TAIL = re.compile(r"(?:\s+(?:and|or|so|yet|just|with|as|that|which))+$", re.I)
_HINT, _WORDED, _CLEAR = range(3)
_PRICE, _MONEY = re.compile(r"[$£€] ?\d|\b\d+ ?(?:dollars|bucks|euros?)\b", re.IGNORECASE), "value for money"
# Where a part of a phrase may say the same: "lining makes it | very warm", "cute shirt | and everyone likes it".
_JOINT = re.compile(
    r"\s+(?:and|or|so|that|which|who|when|if|since|as|like|to (?:be|have|see))\s+"
    r"|\b(?:is|are|was|were|be|been|feels?|felt|looks?|looked|seems?|seemed|ma[dk]es? (?:it|them|me|this))\s+",
    re.I,
)


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
    only: Mapping[str, re.Pattern[str]]  # aspect -> departments and words of types that may have it


def phrases(text: str) -> list[Phrase]:
    """The clauses of ``text`` that may speak of any aspect; a line's end ends one."""
    found, denied = list[Phrase](), False
    for clause, end in _clauses(text):
        phrase, doubtful = _read(clause)
        if phrase is not None:
            if phrase.verdict and (denied or end == "?" or _GOES_ON.match(clause) or _SEVERAL.search(clause)):
                phrase = phrase._replace(verdict=0)
            found.append(phrase)
        denied = (denied or doubtful) and not _OVER.match(end)
    return found


def keyphrase(phrase: Phrase) -> str:
    """The part of it that says the same: no whole sentence where a few words do."""
    parts = [_LEAD.sub("", part, count=1) for part in _JOINT.split(phrase.text) if part]
    for part in sorted(parts, key=len):
        told, _ = _read(part)
        if told is not None and (told.about, told.verdict) == (phrase.about, phrase.verdict):
            return told.text
    return phrase.text


@lru_cache(maxsize=10_000)
def fitting(department: str, type: str) -> frozenset[str]:
    """The aspects that products of a type may have: no watch keeps warm.

    Args:
        department: as the files of the reviews are named, ``Home_and_Kitchen``.
        type: the product type, ``Coffee Mugs``.
    """
    lexicon, name = _lexicon(), f" {department} {type.lower()} "
    return frozenset(
        aspect for aspect in lexicon.kin if aspect not in lexicon.only or lexicon.only[aspect].search(name)
    )


def aspects() -> list[str]:
    """All of the lexicon, sorted."""
    return sorted(_lexicon().kin)


def kin(aspect: str) -> frozenset[str]:
    """The aspect itself and those that it could be taken for."""
    return _lexicon().kin[aspect]


def _clauses(text: str) -> Iterator[tuple[str, str]]:
    """Each with what ends it, without blanks."""
    start = 0
    for end in _END.finditer(text):
        yield text[start : end.start()], end[0].strip() or "."
        start = end.end()
    yield text[start:], "."


@lru_cache(maxsize=50_000)  # "works great" is said again and again
def _read(clause: str) -> tuple[Phrase | None, bool]:
    """What it says of an aspect, if anything; and whether a word in it denies or doubts."""
    words = tuple(_WORD.findall(clause.lower().replace("’", "'")))
    ranks: dict[str, int] = {}
    verdicts: set[int] = set()
    doubtful = False
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
                doubtful |= len(told) > 1
                if aspect:
                    ranks[aspect] = max(rank, ranks.get(aspect, 0))
        at += longest
    if _PRICE.search(clause):
        ranks.setdefault(_MONEY, _HINT)
    if not ranks:
        return None, doubtful
    top = max(_WORDED, *ranks.values())
    about = tuple(sorted(aspect for aspect, rank in ranks.items() if rank == top))
    verdict = verdicts.pop() if len(verdicts) == 1 else 0
    text = _LEAD.sub("", _TAIL.sub("", clause.strip(_MARKS)), count=1).strip(_MARKS)
    return Phrase(text, about, frozenset(ranks), verdict), doubtful


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

    only: dict[str, re.Pattern[str]] = {}
    for aspect, lists in raw["aspects"].items():
        add(lists["names"], aspect, _CLEAR)
        add(lists.get("hints", ()), aspect, _HINT)
        add(lists.get("good", ()), aspect, verdicts=(1,))
        add(lists.get("bad", ()), aspect, verdicts=(-1,))
        if "of" in lists:
            only[aspect] = re.compile(rf"\b(?:{'|'.join(lists['of']).replace('*', '[a-z]*')})\b")
    add(raw["praise"], verdicts=(1,))
    add(raw["blame"], verdicts=(-1,))
    add(raw["doubts"], verdicts=(1, -1))
    add(raw["idioms"])
    near: dict[str, set[str]] = {aspect: {aspect} for aspect in raw["aspects"]}
    for group in raw["kin"]:
        for aspect in group:
            near[aspect] |= {*group}
    return _Lexicon(words, stems, {aspect: frozenset(group) for aspect, group in near.items()}, only)
