"""Sentences of a listing that define its type: `A lantern is a lamp in a case that ...`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from dataset_builders.tasks._common import one_line
from dataset_builders.tasks._judgements import IRREGULAR

_WORDS = range(6, 46)  # of a definition
# What a seller says of the own product, and not of all of its kind.
_PITCH = re.compile(
    r"\b(?:you|your|yours|our|ours|we|us|my|i|this|these|those|it's|great|perfect|best|better|ideal|must|essential|gift"
    r"|gifts|classic|favorite|favou?rites|beautiful|wonderful|excellent|amazing|timeless|premium|quality|available|sold"
    r"|sale|brand|new|choice|addition|included?|includes|ships?|inch|inches|warranty|dishwasher|guaranteed?)\b|\d|[!®™$]",
    re.I,
)
_SAYS_LITTLE = r"(?!(?:has|was|does|makes|adds|looks|comes|features|offers|goes|gets|says|needs|always|is)\b)"
_IRREGULAR = IRREGULAR | {"knives": "knife", "scarves": "scarf", "shelves": "shelf"}
_TELLS = r"(?=[^.]*\b(?:that|which|who|used|worn|with|for)\b)(?!\w+ed\b)"


class _Definitions(NamedTuple):
    names: tuple[str, ...]  # lower case; one of them stands in every definition
    pattern: re.Pattern[str]


def definition(leaf: str, texts: Iterable[str]) -> tuple[str, str] | None:
    """The type as a definition in ``texts`` calls it, and the definition."""
    names, pattern = _definitions(leaf)
    for text in texts:
        lowered = text.lower()
        if any(name in lowered for name in names):
            for found in pattern.finditer(one_line(text)):
                if len(found[0].split()) in _WORDS and not _PITCH.search(found[0]):
                    return found["one"] or found["many"], found[0]
    return None


@lru_cache(maxsize=10_000)
def _definitions(leaf: str) -> _Definitions:
    """Of any kind that ``leaf`` names: "Mugs & Cups" are mugs, and cups."""
    many = {name for name in re.split(r"\s*(?:[&,/]|\band\b)\s*", leaf.lower()) if len(name) > 2}
    one = {form for name in many for form in _singular(name)}
    either = {"one": "|".join(map(re.escape, sorted(one))), "many": "|".join(map(re.escape, sorted(many)))}
    return _Definitions(
        tuple(sorted(one | many)),
        re.compile(
            r"(?:^|(?<=[.!?:] ))(?:"
            rf"[Aa]n? (?P<one>(?i:{either['one']})) (?:is (?:an?|any|the|one) |{_SAYS_LITTLE}[a-z]+[^s]s )"
            rf"|(?P<many>(?i:{either['many']})) (?:is|are) {_TELLS}"
            r")[^.!?]+\."
        ),
    )


def _singular(name: str) -> list[str]:
    """Of "cookies" both "cooky" and "cookie": which one it is, the text will tell."""
    before, _, last = name.rpartition(" ")
    if last in _IRREGULAR:
        forms = [_IRREGULAR[last]]
    elif last.endswith("ies"):
        forms = [f"{last[:-3]}y", last[:-1]]
    elif re.search(r"(?:ch|sh|ss|x|z)es$", last):
        forms = [last[:-2]]
    else:
        forms = [last[:-1] if re.search(r"[^su]s$", last) else last]
    return [f"{before} {form}".lstrip() for form in forms]
