"""What somebody who looks for a product of Amazon-M2 may type: its kind, with its brand, colour, material or size.

The kind is taken from the title by its place. What follows the brand, up to the first comma or preposition, ends with
the kind in English and German, and begins with it in Spanish, French and Italian.
"""

from __future__ import annotations

import re
from itertools import dropwhile
from typing import NamedTuple

from dataset_builders.sources.amazon_m2 import Product
from dataset_builders.tasks._common import distinct, one_line, spelled
from dataset_builders.tasks._lexicon import COLORS

_LONGEST = 5  # words of a query
KIND_FIRST = ("ES", "FR", "IT")
_BRACKETS = re.compile(r"[\[(【「（][^\])】」）]{0,80}[\])】」）]")
_CUT = re.compile(r"[,;:|/!®™•·]|\s[-–—+&]+\s")
_PREPOSITION = re.compile(r"\s(?:with|for|by|from|in|w|mit|für|aus|von|im|zum|zur|inkl)\s", re.I)
_TOKEN = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_JAPANESE = re.compile(r"(?<![^\s/])[ぁ-んァ-ヶー一-龠々]{2,12}(?![^\s/])")
_PLAIN = re.compile(r"[^\W\d_]+(?:[ '’&.-]{1,2}[^\W\d_]+)?").fullmatch
_SIZE = re.compile(r"[\w.,]{1,8}(?: \w{1,6})?").fullmatch
_LINK = re.compile(
    r"a|à|al|avec|con|da|del?|della|der|des|die?|du|en?|et|for|l[ae]s?|l|ohne|para|per|pour|sans|senza|sin|without|y"
).fullmatch
# Words that do not say what a thing is.
_VAGUE = re.compile(
    r"compatib(?:le|il)s?|kompatibel|kits?|lots?|packs?|pairs?|pcs|pi[eè]ces?|sets?|size|stück|confezione|pezzi|paquete|conjunto|juego|"
    r"neue?|new|nouveau|nuev[ao]|nuov[ao]|original|premium|professional|quality"
).fullmatch


class Queries(NamedTuple):
    """Queries for a product.

    Attributes:
        kind: part of each of ``texts``.
        brand: part of some; the author of a book.
        stems: beginnings of the words of ``kind``. What is related shares one: ``Hundeleine``, ``Hundebett``.
    """

    id: str
    kind: str
    brand: str
    stems: tuple[str, ...]
    texts: tuple[str, ...]


def queries(row: Product) -> Queries | None:
    """``None`` where the title does not tell the kind."""
    if not (kind := kind_of(row)):
        return None
    brand, size = _short(row.author or row.brand), row.size.lower()
    parts = list(filter(None, (brand, *_attributes(row))))
    texts = [f"{kind} {part}" if row.locale in KIND_FIRST else f"{part} {kind}" for part in parts]
    texts += [f"{kind} {size}"] if _SIZE(size) else []
    fit = [text for text in distinct([kind, *texts]) if len(text.split()) <= _LONGEST]
    if row.locale == "JP":  # words are not set apart: any two letters
        stems = [kind[at : at + 2] for at in range(len(kind) - 1)]
    else:
        stems = [word[:5] for word in kind.split() if not _LINK(word)]
    return Queries(row.id, kind, brand, tuple(stems), tuple(fit))


def kind_of(row: Product) -> str:
    """The two or three words that say what the product is, in small letters; empty where they are not certain."""
    title = _BRACKETS.sub(" ", one_line(row.title, 300))
    for name in filter(None, (row.brand, row.author)):
        title = title.replace(spelled(name, title) or name, " ")
    if row.locale == "JP":  # the first word that stands alone in Japanese letters
        found = _JAPANESE.search(title)
        return found[0] if found else ""
    part = next(filter(None, map(str.strip, _CUT.split(title))), "")
    attributes = set(" ".join(_attributes(row)).split())
    if row.locale in KIND_FIRST:
        return " ".join(_taken(_TOKEN.findall(part.lower()), 2, attributes))
    tokens = _TOKEN.findall(_PREPOSITION.split(f"{part} ")[0].lower())
    return " ".join(_taken(tokens[::-1], 3, attributes)[::-1])


def _taken(tokens: list[str], most: int, attributes: set[str]) -> list[str]:
    """The kind, from its outer end inwards: over what says nothing, up to the next number or attribute."""

    def says_nothing(token: str) -> bool:
        return token in attributes or bool(_VAGUE(token)) or any(map(str.isdigit, token))

    taken: list[str] = []
    for token in dropwhile(lambda token: says_nothing(token) or token in COLORS, tokens):
        if sum(not _LINK(word) for word in taken) == most or says_nothing(token):
            break
        taken.append(token)
    while taken and _LINK(taken[-1]):
        taken.pop()
    return taken if any(len(token) > 3 for token in taken) else []


def _attributes(row: Product) -> list[str]:
    return [text for text in map(_short, (row.color, row.material)) if text]


def _short(value: str) -> str:
    """A column as a part of a query: one or two plain words; else empty."""
    text = one_line(value).lower()
    return text if len(text) <= 20 and _PLAIN(text) else ""
