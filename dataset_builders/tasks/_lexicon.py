"""Colours and materials as shoppers write them, and what is no type of product; the words lie in ``_lexicon.yaml``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from spine.yamlfile import read_lists

_LISTS: dict[str, Any] = read_lists(Path(__file__).with_name("_lexicon.yaml"))
COLORS, _SHADES, TREATMENTS, NO_TYPE = (
    frozenset(_LISTS[name].split()) for name in ("colors", "shades", "treatments", "no_type")
)
_FAMILIES = [frozenset(line.split()) for line in _LISTS["families"]]
_IDIOM = re.compile(rf"(?<!\S)(?:{'|'.join(_LISTS['color_idioms'])})(?!\S)")
_SHADED = "|".join(sorted(COLORS | _SHADES))
COLOR_RUN = re.compile(rf"(?<!\S)(?:{_SHADED})(?: (?:{_SHADED}))*(?!\S)")
# The longest first: stainless steel before steel.
_MATERIALS = sorted(_LISTS["materials"], key=lambda word: (-len(word), word))
_PHRASES = "|".join([*_MATERIALS, *(rf"{word}(?= \w)" for word in _LISTS["before_a_noun"])])
MATERIAL = re.compile(rf"(?<!\S)(?:{_PHRASES})(?!\S)")
_BRAND = range(2, 40)  # characters
_NOT_SAID = re.compile(
    r"^\W*(?:a|an|the|do|of|is|it|i|we|my|your|in|on|to|just|dr|mrs?|ms|st)\W*$|^[^(]*\)|\([^)]*$"
    r"|^\d+ ?(?:pcs|pack|pairs?|sets?)\b|^[\d.]+(?:[\"”″]\w*|-in-\d|mm|cm|ml|oz)?$"
    r"|^(?:mother|father|men|women|kid|girl|boy|children)['’]?s$"
    r"|^[^\w]|[,;:/|-]$|^\d+ ?%"  # what a cut through a title leaves
)
_NO_BRAND = {"generic", "handmade", "unknown", "unbranded", "no brand", "none", "n/a", "does not apply"}


def is_color(value: str) -> bool:
    """Whether a column's value is the name of a colour and no more: not ``2 Pack``, not ``Black Leather``."""
    words = value.lower().split()
    return len(words) <= 3 and (COLORS | _SHADES).issuperset(words) and not COLORS.isdisjoint(words)


def family(words: Iterable[str]) -> frozenset[str]:
    """The words, and of a colour those that may stand for it: where navy is right, blue is not wrong."""
    own = frozenset(words)
    return own.union(*(line for line in _FAMILIES if not own.isdisjoint(line)))


def without_idioms(text: str) -> str:
    """A text in lower case without the colours that are none: a white out tape, green tea."""
    return _IDIOM.sub("|", text)


def is_brand(value: str) -> bool:
    """Whether a column's value may name a brand: not ``Generic``, ``The``, ``200``, ``(Ship`` or ``$20``."""
    lowered = value.lower()
    said = lowered in _NO_BRAND or lowered in NO_TYPE or lowered in COLORS or _NOT_SAID.search(lowered)
    return len(value) in _BRAND and not said and any(map(str.isalnum, value))
