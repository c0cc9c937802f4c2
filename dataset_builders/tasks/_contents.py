"""Whether an amount in a title is that of what is sold, and not what a tank holds, a radio reaches or a shelf bears."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

from spine.yamlfile import read_lists

_LETTER = r"[0-9A-Za-zÀ-ÖØ-öø-ÿ]"  # not \w: Japanese goes on without a blank
_FILE: dict[str, Any] = read_lists(Path(__file__).with_name("_contents.yaml"))


def _words(listed: str) -> re.Pattern[str]:
    """Any of those, which the file lists on several lines."""
    return re.compile(rf"(?<!{_LETTER})(?:{'|'.join(map(str.strip, listed.split('|')))})(?!{_LETTER})", re.I)


_SOLD_BY = {dimension: _words(listed) for dimension, listed in _FILE["sold_by"].items()}
_HOLDERS = _words(_FILE["holders"])
_PIECES = [(_words(name), tuple(map(Fraction, weights))) for name, weights in _FILE["pieces"].items()]
# A weight that need not be the product's own: "scale, 5 kg", "holds 10 kg".
_LIMIT = re.compile(
    r"load|capacit|hold|support|scale|weight|resist|trag|belast|waage|gewicht|charge|poids|peso|carico|耐荷重"
    r"|stand|chair|shelf|hook|winch|strap|luggage|trolley|fishing|braid|lock",
    re.I,
)
# More than one thing, and of how many the amount is nobody knows: "300 g twin pack", "Shampoo and Conditioner Bundle".
_SEVERAL = re.compile(
    r"\b(?:twin|duo|trio|double|triple|bundles?|multi-?packs?|assort\w*|variety|bonus|coffret|doppel\w*|gift ?sets?"
    r"|(?<!1 )(?<!1-)(?:pack|set|kit|lot|pairs?)s?(?! of 1\b))\b",
    re.I,
)
_VESSEL = re.compile(r"\b(?:bottle|cup|mug|glass|tumbler|bowl|flask|pitcher|container|pint)(?:s|es)?\b", re.I)
_PAPER = re.compile(r"paper|papier|papel|carta|karton|card ?stock|cardboard", re.I)


def are_several(title: str) -> bool:
    return _SEVERAL.search(title) is not None


def is_limit(title: str) -> bool:
    return _LIMIT.search(title) is not None


def are_sold(title: str, dimension: str, *, several: bool) -> bool:
    """Of what is sold by the pack (``several``), all but empty vessels; of what is sold singly, what is known to be."""
    named, holder = _SOLD_BY.get(dimension), _HOLDERS.search(title)
    known = named.search(title) is not None if named else not several
    return (known or not holder) if several else (known and not holder)


def mean_another(title: str, unit: str, dimension: str, glued_l: bool) -> bool:
    """Whether a unit is another one than it says.

    Ounces of a bottle or of oil are fluid, the weight of paper is that of a square metre or of a ream, and "2L"
    (``glued_l``) where nothing holds or is a fluid is the number of a part.
    """
    if glued_l and not (_SOLD_BY["volume"].search(title) or _HOLDERS.search(title) or is_limit(title)):
        return True
    if unit == "oz" and (_VESSEL.search(title) or _SOLD_BY["volume"].search(title)):
        return True
    return dimension == "weight" and _PAPER.search(title) is not None


def piece_weights(title: str) -> tuple[Fraction, ...]:
    """What one of the pieces that it counts may weigh, in grams; empty where nobody knows."""
    return next((weights for name, weights in _PIECES if name.search(title)), ())
