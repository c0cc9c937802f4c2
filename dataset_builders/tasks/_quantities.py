"""Weights, volumes, lengths and counts in product titles, as the six Amazon sites write them; exact numbers.

What can be read in two ways (``1.000 g`` on a German site, ``20-30 cm``, ``60 x 40 cm``, ``1/2 inch``) is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, TypeVar

from dataset_builders.tasks import _contents as contents
from spine.yamlfile import read_lists

T = TypeVar("T")


class Unit(NamedTuple):
    """See ``_quantities.yaml``."""

    name: str
    dimension: str
    size: Fraction


_LISTED: dict[str, dict[str, str]] = read_lists(Path(__file__).with_name("_quantities.yaml"))
UNITS = {sign: Unit(unit["name"], unit["dimension"], Fraction(unit["size"])) for sign, unit in _LISTED.items()}
_NAMES = {sign: unit["written"] for sign, unit in _LISTED.items()}
_SIGNS = tuple(_NAMES)
_LETTER = r"[0-9A-Za-zÀ-ÖØ-öø-ÿ]"  # not \w: Japanese goes on without a blank
_FREE = rf"(?<!{_LETTER})(?<![.,/–-])"  # where a number may begin
_UNIT = rf"(?:{'|'.join(_NAMES.values())})(?!{_LETTER}|[²³/])"
_AMOUNT = re.compile(
    rf"(?<![\d.,/])(\d{{1,4}}(?:[.,]\d{{1,3}})?)[ -]?"
    rf"(?:{'|'.join(f'({name})' for name in _NAMES.values())})(?!{_LETTER})"
)
# A side or a model, and an amount for each of something: "W50xD20xH70cm", "2 lb/pair".
_GLUED, _PER = re.compile(rf"{_LETTER}$"), re.compile(r"[²³/]")
# The end of a range, a side of a rectangle, a limit: "20-30 cm", "60 x 40 cm", "up to 5 kg", "ca. 1 m".
_JOINS = r"to|by|bis|à|a|and|und|et|y|e|or|oder|o"
_PART_BEFORE = re.compile(
    rf"(?:[x×*/+~±<>≤≥]|×\D{{0,6}}|約|\(\d+\)|\d(?= )|\d ?[–—-]|(?<!\w)(?:{_JOINS}|up|max\.?|ca\.?|approx\.?|about"
    r"|under|unter|over|über)) ?$|[–—-]$",
    re.I,
)
_PART_AFTER = re.compile(rf" ?(?:[x×*/+±]|(?:{_JOINS})(?!\w)) ?[.\d]|[–—-][.\d]", re.I)
_TIMES_BEFORE = re.compile(rf"{_FREE}(?<![x×*])(?<![x×*] )(\d{{1,3}}) ?[x×*] ?$", re.I)
_TIMES_AFTER = re.compile(rf" ?[x×*] ?(\d{{1,3}})(?!{_LETTER}|[.,/]\d| ?[x×*]| ?{_UNIT})", re.I)
_WITH = re.compile(r"\b(?:with|w|mit|avec|con|incl\w*)[ /:.]+(?:an? )?$", re.I)  # "with 9 m hose", "with 16 batteries"
_METRES = re.compile(rf"(?<!{_LETTER})\d{{1,3}}(?:[.,]\d)? ?M(?!{_LETTER})")  # "8M" of tape, or the size M
_OF = r"(?:of|de|da|di|mit|à|con)"
_PACK = re.compile(
    r"(?<!\w)(?:pack|set|box|case|bundle|lot|paquet|boîte|paquete|juego|lote|caja|confezione|pacco|scatola|packung)"
    rf" {_OF} (\d{{1,3}})(?![.,]?\d| ?-?{_UNIT})"
    rf"|{_FREE}(\d{{1,3}})(?:[ -]?packs?(?! {_OF}|\w)|er[ -]?(?:pack|set|packung|sparpack)(?!\w)"
    r"|[個本枚袋缶](?:セット|パック|入))",
    re.I,
)
_PACKS_OF = re.compile(
    rf"{_FREE}([2-9]|\d{{2,3}}) (?:packs|boxes|packungen|paquets|paquetes|confezioni) {_OF} (\d{{1,4}})"
    rf"(?![.,]?\d| ?-?{_UNIT})",
    re.I,
)
_PIECES = re.compile(
    rf"{_FREE}(?<![x×*+])(\d{{1,4}})[ -]?(?:count|ct|pieces|pcs|stück|stk|pièces|piezas|unidades|pezzi|"
    r"sheets?|wipes|tablets?|capsules?|sachets?|tea ?bags?|napkins?|rolls?|blatt|tabletten|kapseln|beutel|rollen|"
    r"comprimés|feuilles|rouleaux|cápsulas|comprimidos|bolsitas|hojas|rollos|compresse|bustine|fogli|rotoli)"
    rf"(?!{_LETTER})(?! (?:set|puzzle|per|pro|par|por|je|each)(?!\w))",
    re.I,
)
# What may stand between an amount and the pack that holds several of it: "9 oz bag (Pack of 6)".
_BETWEEN = re.compile(
    r"(?: (?:bags?|bottles?|box|cans?|cartons?|jars?|packets?|pouch|tins?|tubes?))?[\s,;()\[\]|–-]{1,4}", re.I
)


class Amount(NamedTuple):
    value: Fraction
    unit: str  # a key of UNITS


class Quantities(NamedTuple):
    """What a title states without doubt; ``None`` where it states nothing, or several things.

    Attributes:
        amount: its only weight, volume or length.
        pack: how many items are sold together, two or more.
        each: whether ``amount`` is that of one item: "9 oz (Pack of 6)", "6 x 500 ml", or there is but one.
        pieces: how many pieces one of these items holds ("200 count (Pack of 2)"), or all without ``pack``.
        sold: whether several of the product hold several times ``amount``: not where it is that of a tank or a range.
        piece: what one of ``pieces`` may weigh, in grams; empty where that is not known.
    """

    amount: Amount | None = None
    pack: int | None = None
    each: bool = False
    pieces: int | None = None
    sold: bool = False
    piece: tuple[Fraction, ...] = ()


class _Found(NamedTuple):
    """An amount in a title. ``amount`` is ``None`` where it is a part of something else or can be read in two ways;
    ``times`` is 6 in "6 x 500 ml", else 0."""

    span: tuple[int, int]
    dimension: str
    amount: Amount | None
    times: int


def read(title: str, locale: str) -> Quantities:
    """The quantities in a title of the site ``locale``."""
    if not any(map(str.isdigit, title)):
        return Quantities()
    if nested := _PACKS_OF.search(title):
        return Quantities(pack=int(nested[1]), pieces=int(nested[2]))
    found = list(_amounts(title, locale))
    # "Pack of 1" and "1 count" say nothing.
    packs = [(match.span(), int(match[1] or match[2])) for match in _PACK.finditer(title)]
    packs = [(span, count) for span, count in packs + [(one.span, one.times) for one in found] if count > 1]
    counts = (match for match in _PIECES.finditer(title) if not _WITH.search(title[: match.start()][-15:]))
    pieces = [(match.span(), int(match[1])) for match in counts if int(match[1]) > 1]
    by_dimension = {one.dimension: {two.amount for two in found if two.dimension == one.dimension} for one in found}
    amount = _only(*(amounts.pop() for amounts in by_dimension.values() if amounts != {None} and len(amounts) == 1))
    pack, held = _only(*(count for _, count in packs)), _only(*(count for _, count in pieces))
    each = not packs and not pieces and not contents.are_several(title)
    each |= any(_beside(title, one.span, span) for one in found if one.amount == amount for span, _ in packs)
    if packs and not (pack and any(_BETWEEN.fullmatch(title, at[1], span[0]) for at, _ in pieces for span, _ in packs)):
        held = None  # "12 rolls, ... (Pack of 2)": of one pack, or of both
    each = bool(amount and each and not contents.is_limit(title))
    whole = any(one.amount == amount and not _WITH.search(title[: one.span[0]][-15:]) for one in found)
    sold = bool(each and amount and whole) and contents.are_sold(
        title, UNITS[amount.unit].dimension if amount else "", several=pack is not None
    )
    return Quantities(amount, pack, each, held, sold, contents.piece_weights(title) if held else ())


def has_contents(title: str) -> bool:
    """Whether a weight or a volume of any kind stands in the title, be it read or not."""
    return any(UNITS[_SIGNS[(match.lastindex or 2) - 2]].dimension != "length" for match in _AMOUNT.finditer(title))


def number(text: str, locale: str) -> Fraction | None:
    """``1,5``, ``1.5`` or ``1,000`` as a number; ``None`` for zero, or where a mark may part thousands or decimals."""
    whole, _, rest = text.replace(",", ".").partition(".")
    if len(rest) < 3 or int(whole) == 0:
        return Fraction(f"{whole}.{rest or 0}") or None
    return Fraction(whole + rest) if "," in text and locale in ("UK", "JP") else None


def rounded(value: Fraction, places: int) -> Decimal:
    """To that many decimals, halves upwards; without zeros at the end."""
    scaled = value.numerator * 10**places
    return Decimal((2 * scaled + value.denominator) // (2 * value.denominator)).scaleb(-places).normalize()


def _amounts(title: str, locale: str) -> Iterator[_Found]:
    yield from (_Found(found.span(), "length", None, 0) for found in _METRES.finditer(title))
    for match in _AMOUNT.finditer(title):
        start, end = match.span()
        unit = _SIGNS[(match.lastindex or 2) - 2]
        dimension = UNITS[unit].dimension
        before = title[max(0, start - 12) : start]
        times = [found for found in (_TIMES_BEFORE.search(before), _TIMES_AFTER.match(title, end)) if found]
        value = number(match[1], locale)
        glued_l = match[0][-1] in "lL" and match[0][-2].isdigit()  # or "2L" is the number of a part
        if _GLUED.search(before) or _PER.match(title, end) or contents.mean_another(title, unit, dimension, glued_l):
            value = None
        if times and dimension != "length":
            value = value if len(times) == 1 else None
        elif _PART_BEFORE.search(before) or _PART_AFTER.match(title, end):
            value = None
        amount = Amount(value, unit) if value else None
        yield _Found((start, end), dimension, amount, int(times[0][1]) if amount and times else 0)


def _beside(title: str, one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether nothing but a container's name or a comma stands between two places (which may be the same)."""
    (_, end), (start, _) = sorted((one, other))
    return one == other or _BETWEEN.fullmatch(title, end, start) is not None


def _only(*values: T | None) -> T | None:
    """The only value there is; ``None`` if there are others."""
    found = set(values)
    return found.pop() if len(found) == 1 else None
