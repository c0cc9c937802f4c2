"""Quantities in titles, read and reckoned with: against numbers computed here, and against doubtful titles."""

from __future__ import annotations

import math
import re
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_builders.task import Question
from dataset_builders.tasks._quantities import Amount, number, read, rounded
from dataset_builders.tasks.quantity_reasoning import CANNOT
from tests.dataset_builders.test_tasks_m2 import asked, built, listing

# --- quantities in titles ---


@pytest.mark.parametrize(
    ("title", "locale", "expected"),
    [
        ("Aldwick Noodles, 9.24 oz (Pack of 6)", "UK", ("9.24 oz", 6, True, None)),
        ("Aldwick Soup, 14.1-Ounce Can (Pack of 4)", "UK", ("14.1 oz", 4, True, None)),
        ("Aldwick Rice - 500 g - Basmati", "UK", ("500 g", None, True, None)),
        ("Aldwick Flour 1,000 g", "UK", ("1000 g", None, True, None)),
        ("Aldwick Saft 6 x 0,75 l", "DE", ("0.75 l", 6, True, None)),
        ("Aldwick Kaffee, 6er-Pack (6 x 500g)", "DE", ("500 g", 6, True, None)),
        ("Aldwick Confettura 340 grammi, confezione da 4", "IT", ("340 g", 4, True, None)),
        ("Aldwick Huile d'olive 1,5 litre, lot de 3", "FR", ("1.5 l", 3, True, None)),
        ("Aldwick Pack de 12, 33 cl", "ES", ("33 cl", 12, True, None)),
        ("アルドウィック 緑茶 500ml×24本", "JP", ("500 ml", 24, True, None)),
        ("Aldwick Napkins, 200 Count, Pack of 2", "UK", (None, 2, False, 200)),
        ("Aldwick Napkins (24 packs of 40 Napkins)", "UK", (None, 24, False, 40)),
        ("Aldwick Batteries, 24 Count (Pack of 1)", "UK", (None, None, False, 24)),
        ("Aldwick Handtuch, 4 Stück", "DE", (None, None, False, 4)),
        ("Aldwick USB-Kabel [2 Stück, 3 m]", "DE", ("3 m", None, False, 2)),
        ("Aldwick Kitchen Scale, 5 kg", "UK", ("5 kg", None, False, None)),  # not its own weight
        ("Aldwick Towels, Set of 3, 6 Pack", "UK", (None, None, False, None)),  # which of the two?
        ("Aldwick Rolls, 12 rolls in paper, soft (Pack of 2)", "UK", (None, 2, False, None)),
    ],
)
def test_titles_are_read_as_shoppers_read_them(
    title: str, locale: str, expected: tuple[str | None, int | None, bool, int | None]
) -> None:
    text, pack, each, pieces = expected
    value, _, unit = (text or "").partition(" ")
    amount = Amount(Fraction(value), unit) if text else None
    assert read(title, locale)[:4] == (amount, pack, each, pieces)


@pytest.mark.parametrize(
    ("title", "locale"),
    [
        ("Aldwick Mehl 1.000 g", "DE"),  # a thousand or one?
        ("Aldwick Mat 60 x 40 cm", "UK"),
        ("Aldwick Strap 20-30 cm", "UK"),
        ("Aldwick Strap, 20 to 30 cm", "UK"),
        ("Aldwick Bolt 1/2 inch", "UK"),
        ("Aldwick Hook, up to 5 kg", "UK"),
        ("Aldwick Shampoo 250 ml y mascarilla 300 ml", "ES"),
        ("Aldwick Paper 80 g/m²", "UK"),
        ("Aldwick Phone 5G, Size M, AW12 g", "UK"),
        ("Aldwick Cups 2 x 250 ml x 6", "UK"),
        ("Aldwick Rack for 70cm Umbrellas, W50xD20xH100cm", "UK"),
        ("アルドウィック 机 幅約29×奥行約29×高さ約52.2cm", "JP"),
        ("Aldwick Ankle Weights 2 lbs/Pair, 1 lb Each", "UK"),
        ("Aldwick Hook Tape, 8M, 20mm Wide", "UK"),
        ("Aldwick Whitening Kit, (4) 3ml Gels", "UK"),
        ("Aldwick Water Bottle, 13 Ounce", "UK"),  # fluid ones
        ("Aldwick Adapter for 2.5 3.5 Inch Drives", "UK"),
        ("Aldwick Drawing Paper, 60 lbs., 500 Sheets", "UK"),
    ],
)
def test_what_can_be_read_in_two_ways_is_not_read(title: str, locale: str) -> None:
    assert read(title, locale).amount is None


@pytest.mark.parametrize(
    ("title", "pieces"),
    [
        ("Lorvik Battery Charger with 12 Pieces AA Batteries", None),  # nobody needs 30 of the items
        ("Lorvik Ladegerät mit 12 Stück Akkus AA", None),
        ("Lorvik AA Batteries, 12 Pieces, with Box", 12),
    ],
)
def test_what_comes_with_a_product_is_not_what_is_sold(title: str, pieces: int | None) -> None:
    assert read(title, "DE").pieces == pieces


WRITTEN = {
    "UK": (".", "pack of {}"),
    "DE": (",", "{}er-Pack"),
    "FR": (",", "lot de {}"),
    "IT": (",", "confezione da {}"),
}
NAMES = [("g", "g"), ("Gramm", "g"), ("kg", "kg"), ("ml", "ml"), ("cl", "cl"), ("litre", "l"), ("l", "l"), ("oz", "oz")]


@given(
    st.integers(1, 9999),
    st.integers(0, 2),
    st.sampled_from(NAMES),
    st.sampled_from(sorted(WRITTEN)),
    st.integers(2, 99),
)
def test_a_written_quantity_is_read_back(
    digits: int, places: int, name: tuple[str, str], locale: str, count: int
) -> None:
    mark, pack = WRITTEN[locale]
    value = Fraction(digits, 10**places)
    text = f"{float(value):.{places}f}".replace(".", mark)
    for title in (f"Brand X, {text} {name[0]} ({pack.format(count)})", f"{count} x {text} {name[0]} Brand"):
        assert read(title, locale)[:4] == (Amount(value, name[1]), count, True, None), title


@given(st.fractions(0, 10_000), st.integers(0, 4))
def test_rounding_is_to_the_nearest(value: Fraction, places: int) -> None:
    assert abs(Fraction(rounded(value, places)) - value) <= Fraction(1, 2 * 10**places)


def test_a_mark_before_three_digits_means_what_the_site_means() -> None:
    assert number("1,000", "UK") == 1000 and number("1,000", "DE") is None and number("1.000", "UK") is None
    assert number("0,750", "FR") == Fraction(3, 4) and number("0", "UK") is None


# --- what they come to ---

SIZES = {"grams": 1, "kilograms": 1000, "ounces": 28.3495, "pounds": 453.592, "millilitres": 1, "litres": 1000}
SIZES |= {"millimetres": 1, "centimetres": 10, "metres": 1000, "inches": 25.4, "feet": 304.8, "fluid ounces": 1}
SIGNS = {"g": 1, "kg": 1000, "oz": 28.3495, "lb": 453.592, "ml": 1, "l": 1000, "L": 1000, "cm": 10, "m": 1000}
SIGNS |= {"fl oz": 1}


def worth(text: str) -> float:
    return float(re.sub(r"[^\d.]", "", text))


def expected(question: Question) -> float:
    """The answer, computed from the numbers of a title of the sample shop: there is the pack, then the size."""
    fields, numbers = question.fields, [float(text) for text in re.findall(r"\d+(?:\.\d+)?", question.fields["title"])]
    amount, unit = numbers[-1], re.sub(r".*[\d.] ", "", fields["title"])
    of_unit = SIGNS.get(unit, 25.4 if re.match(r"Inch|Zoll|p[uo]|インチ", unit) else 304.8)
    match fields["kind"]:
        case "total" | "order" | "convert" as kind:
            count = {"total": numbers[0], "order": fields.get("number", 0), "convert": 1}[kind]
            return float(count * amount * of_unit / SIZES[fields["unit"]])
        case "enough":
            return math.ceil(worth(fields["needed"]) / amount)
        case "packs":
            return math.ceil(float(fields["needed"]) / numbers[0])
        case "share":
            return worth(fields["total"]) / numbers[0]
        case _:
            return worth(fields["price"]) / numbers[0]


def is_answered(question: Question) -> bool:
    assert isinstance(question.truth, int)
    return bool(question.fields["options"][question.truth] != CANNOT)


def test_some_titles_do_not_tell(shop: Path) -> None:
    """As in the contest; the others list it often enough that it does not give itself away."""
    questions = built("quantity_reasoning", shop)
    listing_it = [question for question in questions if CANNOT in question.fields["options"]]
    unanswered = [question for question in listing_it if not is_answered(question)]
    assert {question.fields["kind"] for question in unanswered} == {"weigh", "cost"}
    assert 0.02 < len(unanswered) / len(questions) < 0.2
    assert len(unanswered) < 0.6 * len(listing_it)


@pytest.mark.parametrize(
    ("title", "sold"),
    [
        ("Aldwick Dry Gin 1 Litre", True),
        ("Aldwick Basmati Rice, 500 g", True),
        ("Aldwick Speaker Cable 10 m", True),
        ("Aldwick Cola, 6 x 330 ml", True),
        # What it holds, how far it reaches, what comes with it, and what nobody knows of how many.
        ("Aldwick Humidifier with 300 ml Tank", False),
        ("Aldwick Moka Pot (280 ml)", False),
        ("Aldwick Soap Dispenser 250 ml", False),
        ("Aldwick Storage Bottles, 6 x 500 ml", False),
        ("Aldwick Earbuds, 10 m Range", False),
        ("Aldwick Pool Cleaner with 9 m Hose", False),
        ("Aldwick Baby Powder 300 g Twin Pack", False),
        ("Aldwick Shampoo & Conditioner Bundle 945 ml", False),
        ("Aldwick Press Plate 2L", False),
    ],
)
def test_several_products_hold_several_times_what_is_sold(title: str, sold: bool) -> None:
    assert read(title, "UK").sold == sold


@pytest.mark.parametrize(
    ("title", "weighs"),
    [("Aldwick Zinc, 60 Tablets", 1), ("Aldwick Espresso Capsules, 50 Capsules", 6), ("Aldwick Pens, 12 pcs", None)],
)
def test_only_of_some_pieces_is_known_what_they_weigh(title: str, weighs: int | None) -> None:
    piece = read(title, "UK").piece
    assert [weighs / 2 < weight < 2 * weight for weight in piece] if weighs else not piece


def _rounding(question: Question) -> float:
    """Half of the last decimal that is shown."""
    if question.fields["kind"] == "price":
        return 0.501 if "¥" in question.fields["price"] else 0.00501
    return 0.0501 if question.fields.get("rounded") else 0


def test_the_arithmetic_is_right_and_the_mistakes_are_mistakes(shop: Path) -> None:
    questions = built("quantity_reasoning", shop)
    kinds = Counter(question.fields["kind"] for question in questions)
    assert set(kinds) >= {"total", "order", "enough", "packs", "price", "convert"}, kinds
    for question in filter(is_answered, questions):
        assert isinstance(question.truth, int)
        value, written = expected(question), question.fields["options"]
        assert worth(written[question.truth]) == pytest.approx(value, rel=1e-5, abs=_rounding(question)), question
        wrong = [worth(text) for at, text in enumerate(written) if at != question.truth and text != CANNOT]
        assert all(abs(other - value) > min(0.004, 0.01 * value) for other in wrong), question
        patterns = {re.sub(r"[\d.]+", "#", option) for option in written if option != CANNOT}
        assert len(patterns) == 1, "all in one unit"


def test_the_size_of_an_answer_does_not_tell_that_it_is_right(shop: Path) -> None:
    ranks: Counter[int] = Counter()
    for question in built("quantity_reasoning", shop):
        if CANNOT in question.fields["options"]:
            continue
        options = [worth(option) for option in question.fields["options"]]
        assert isinstance(question.truth, int)
        ranks[sorted(options).index(options[question.truth])] += 1
    assert min(ranks[rank] for rank in range(4)) > 0.15 * ranks.total(), ranks


def test_messy_listings_are_asked_about_or_left_out(tmp_path: Path) -> None:
    questions = asked(
        tmp_path,
        "quantity_reasoning",
        listing("B1", "UK", "Aldwick Napkins,<br> 200 Count (Pack of 3)", price=40000000.07),  # price not known
        listing("B2", "UK", "", price=3),
        listing("B3", "DE", "Aldwick Handtuch, 4 Stück", price=12.5),
        listing("B4", "UK", "Aldwick Lamp AW-12", price=12.5),
    )
    by_product = {question.entity: question.fields for question in questions}
    assert set(by_product) == {"product:B1", "product:B3"}
    assert by_product["product:B1"]["kind"] == "pieces"
    question = next(question for question in questions if question.entity == "product:B1")
    assert question.fields["options"][question.truth] == "600" and "<br>" not in question.fields["title"]
