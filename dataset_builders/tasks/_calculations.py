"""What can be asked about the quantities in a title: each kind with its answer, its usual mistakes and a proof."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

from dataset_builders.sources.amazon_m2 import Product
from dataset_builders.tasks._quantities import UNITS, Amount, Quantities, has_contents, rounded

# How a price is written, its decimals, and the highest: where it is not known, the file says 40000000.07.
_EURO = ("€{:.2f}", 2, 10_000)
_PRICE = {"UK": ("£{:.2f}", 2, 10_000), "JP": ("¥{:.0f}", 0, 1_000_000)}
_METRIC = {"g": ("kg",), "kg": ("g",), "ml": ("l",), "cl": ("ml", "l"), "l": ("ml",)}
_LENGTHS = {"mm": ("cm",), "cm": ("mm", "m", "in"), "m": ("cm",), "in": ("cm",), "ft": ("in", "cm")}
_OTHER = {**_METRIC, **_LENGTHS, "oz": ("g",), "lb": ("kg", "oz")}
_FACTORS = tuple(map(Fraction, ("0.4536", "2.2", "2.54", "12", "16", "28.35", "30.48")))  # mistaken for one another
_POINT = tuple(Fraction(10) ** power for power in (-2, -1, 1, 2, 3))  # the decimal point slips
_MOST_ITEMS = 200
# What a shop says of a whole product, in grams, millilitres and millimetres: no tip of a pen, and no range of a radio.
_PLAUSIBLE = {"weight": (1, 200_000), "volume": (1, 250_000), "length": (10, 100_000)}


class Calculation(NamedTuple):
    """A question on the quantities in a title, before it has options.

    Attributes:
        fields: ``kind``, and what else its words need; see prompts/tasks/_quantity_question.j2.
        right: the answer, exactly.
        slips: what the usual mistakes give.
        written: how a number looks as an answer, ``{:f} kg``.
        places: decimals that answers are rounded to.
        proof: computes backwards: whether the answer, as it is shown, leads to the numbers that were given.
    """

    fields: dict[str, Any]
    right: Fraction
    slips: list[Fraction]
    written: str
    places: int
    proof: Callable[[Fraction], bool]


Kind = Callable[[Product, Quantities, random.Random], Calculation | None]


def total(row: Product, found: Quantities, rng: random.Random) -> Calculation | None:
    """The weight or volume of a whole pack."""
    if not (found.amount and found.sold and found.pack) or UNITS[found.amount.unit].dimension == "length":
        return None
    return _together({"kind": "total"}, found.amount, found.pack, rng)


def order(row: Product, found: Quantities, rng: random.Random) -> Calculation | None:
    """The same for several of a product that is sold singly."""
    if (amount := _single(found)) is None:
        return None
    number = rng.randint(2, 12)
    return _together({"kind": "order", "number": number}, amount, number, rng)


def enough(row: Product, found: Quantities, rng: random.Random) -> Calculation | None:
    """How many of a product that is sold singly make up an amount."""
    if (amount := _single(found)) is None:
        return None
    one, right = amount.value, rng.randint(2, 9)
    needed = one * right - one * rng.randrange(4) / 4
    slips = [*map(Fraction, (right - 2, right - 1, right + 1, right + 2, 10 * right)), one, needed]
    fields = {"kind": "enough", "needed": f"{rounded(needed, _places(needed)):f} {amount.unit}"}
    return Calculation(fields, Fraction(right), slips, "{:f}", 0, lambda shown: 0 <= shown * one - needed < one)


def pieces(row: Product, found: Quantities, rng: random.Random) -> Calculation | None:
    """Packs of several pieces."""
    if not (found.pieces and found.pack):
        return None
    held, count = Fraction(found.pieces), found.pack
    slips = [held, held + count, held * (count - 1), held * (count + 1), held / count]
    return Calculation({"kind": "pieces"}, held * count, slips, "{:f}", 0, lambda shown: shown / held == count)


def packs(row: Product, found: Quantities, rng: random.Random) -> Calculation | None:
    """How many packs are needed for a number of items."""
    if (count := _items(found)) is None:
        return None
    right = rng.randint(2, 12)
    needed = right * count - rng.randrange(count)
    slips = [*map(Fraction, (right - 2, right - 1, right + 1, right + 2, count, needed))]
    fields = {"kind": "packs", "needed": needed}
    return Calculation(fields, Fraction(right), slips, "{:f}", 0, lambda shown: 0 <= shown * count - needed < count)


def share(row: Product, found: Quantities, rng: random.Random) -> Calculation | None:
    """The weight of one piece, given that of all; of tablets and other things of which it is known what they weigh."""
    if found.amount or not found.piece or (count := _items(found)) is None:
        return None
    right = rng.choice(found.piece)
    whole = right * count
    slips = [whole, whole / (count + 1), whole / max(1, count - 1), right + count, whole - count]
    fields = {"kind": "share", "total": f"{rounded(whole, 2):f} g"}
    return Calculation(fields, right, slips, "{:f} g", 2, lambda shown: shown * count == whole)


def price(row: Product, found: Quantities, rng: random.Random) -> Calculation | None:
    """The price of one item of a pack."""
    written, places, most = _PRICE.get(row.locale, _EURO)
    if (count := _items(found)) is None or not 0 < (row.price or 0) < most:
        return None
    whole = Fraction(rounded(Fraction(str(row.price)), places))
    slips = [whole, whole * count, whole / (count + 1), whole / max(1, count - 1), whole - count]
    fields = {"kind": "price", "price": written.format(rounded(whole, places))}
    error = Fraction(count, 2 * 10**places)
    return Calculation(fields, whole / count, slips, written, places, lambda shown: abs(shown * count - whole) <= error)


def convert(row: Product, found: Quantities, rng: random.Random) -> Calculation | None:
    """The amount in another unit."""
    if not found.amount or found.amount.unit not in _OTHER or not _is_plausible(found.amount):
        return None
    value, unit = found.amount
    other = rng.choice(_OTHER[unit])
    factor = UNITS[unit].size / UNITS[other].size
    right = value * factor
    if metric := factor.numerator == 1 or (factor.denominator == 1 and factor % 10 == 0):
        slips = [right * slip for slip in _POINT]
    else:
        slips = [value / factor, *(value * slip for slip in _FACTORS if not 0.8 < slip / factor < 1.25)]
    exact = metric or (right * 100).denominator == 1
    error = 0 if exact else Fraction(1, 20)
    fields = {"kind": "convert", "dimension": UNITS[unit].dimension, "unit": UNITS[other].name, "rounded": not exact}
    places = _places(right) + 2 if metric else 2 if exact else 1
    return Calculation(
        fields, right, slips, f"{{:f}} {other}", places, lambda shown: abs(shown / factor - value) <= error / factor
    )


KINDS: tuple[Kind, ...] = (total, order, enough, pieces, packs, share, price, convert)


def unknown(row: Product, found: Quantities, rng: random.Random) -> tuple[dict[str, Any], list[str]] | None:
    """A question that the title's quantities do not answer, and what somebody may guess."""
    if found.pack and not has_contents(row.title):
        count, least = found.pack, rng.choice((15, 40, 90, 150, 250, 400))
        guesses = [f"{value * count} g" for value in (least, least * 2, least * 5)]
        return {"kind": "weigh"}, guesses
    if (amount := _single(found)) is not None and UNITS[amount.unit].dimension != "length":
        written, places, _ = _PRICE.get(row.locale, _EURO)
        number, one = rng.randint(2, 6), Fraction(rng.randrange(249, 2_000, 50), 100 if places else 1)
        guesses = [written.format(rounded(one * number * part, places)) for part in (Fraction(1, 2), 1, 2)]
        return {"kind": "cost", "number": number}, guesses
    return None


def _together(fields: dict[str, Any], amount: Amount, count: int, rng: random.Random) -> Calculation:
    """``count`` times the amount, in its own unit or in a larger or smaller one."""
    other = rng.choice((amount.unit, *_METRIC.get(amount.unit, ())))
    factor = UNITS[amount.unit].size / UNITS[other].size if other != amount.unit else Fraction(1)
    one = amount.value * factor
    slips = [one, one + count, one * (count - 1), one * (count + 1), one / count, amount.value * count]
    fields = {**fields, "unit": UNITS[other].name}
    places = max(2, _places(one))
    return Calculation(fields, one * count, slips, f"{{:f}} {other}", places, lambda shown: shown / count == one)


def _single(found: Quantities) -> Amount | None:
    """The amount of one, of which several could be put together: a kettle is no length, and none of water."""
    if not (found.amount and found.sold) or found.pack or found.pieces or not _is_plausible(found.amount):
        return None
    return found.amount if UNITS[found.amount.unit].dimension != "length" or found.amount.unit in ("m", "ft") else None


def _is_plausible(amount: Amount) -> bool:
    unit = UNITS[amount.unit]
    least, most = _PLAUSIBLE[unit.dimension]
    return not unit.size or least <= amount.value * unit.size <= most


def _items(found: Quantities) -> int | None:
    """How many items are sold together; not where they are packs of several pieces."""
    count = found.pieces if found.pack is None else found.pack if found.pieces is None else None
    return count if count and count <= _MOST_ITEMS else None


def _places(value: Fraction) -> int:
    """The decimals of a value that has an end."""
    return next(places for places in range(12) if (value * 10**places).denominator == 1)
