"""What the quantities in a product title come to: totals, packs needed, prices of one item, other units.

https://www.aicrowd.com/challenges/amazon-kdd-cup-23-multilingual-recommendation-challenge
amazon_m2/products_train.csv (id, locale, title, price, ...; invented):

    B0EXAMPLE1,UK,"Aldwick Oat Biscuits, 9.24 oz (Pack of 6)",11.94,Aldwick,...
"""

from __future__ import annotations

import random
import re
from fractions import Fraction
from itertools import chain

from dataset_builders.sources import amazon_m2
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._calculations import KINDS, Calculation, unknown
from dataset_builders.tasks._common import multiple_choice, one_line, product_entity
from dataset_builders.tasks._quantities import Quantities, read, rounded

_WRONG = 3
CANNOT = "It cannot be inferred."  # as the contest has it
# Shares: of questions that the title does not answer, where it can be asked so; of the others that list it as well.
_HIDDEN, _LISTED = 0.15, 0.3
_LONGEST = 250  # characters of a title
# Where a calculation has too few mistakes of its own: the point slips, something is halved or doubled.
_SLIPS = tuple(map(Fraction, ("1/100", "1/10", "1/4", "1/2", "3/4", "5/4", "3/2", "2", "10", "100")))
_NOT_DIGITS = re.compile(r"[^\d.]")


@task(type=TaskType.MULTIPLE_CHOICE, source="amazon_m2", track=2, llm="construct")
def build(raw: RawData, seeded: Seeded) -> Questions:
    for row in amazon_m2.products(raw):
        if not seeded.wants(product_entity(row.id), row.locale):
            continue
        title = one_line(row.title, _LONGEST)
        if (found := read(title, row.locale)) == Quantities():
            continue
        rng = seeded.rng(f"{row.locale}:{row.id}")
        if rng.random() < _HIDDEN and (open_ := unknown(row, found, rng)) is not None:
            fields, guesses = open_
            yield multiple_choice(
                rng, product_entity(row.id), {"title": title, **fields}, CANNOT, guesses, key=row.locale
            )
            continue
        asked = next((asked for kind in rng.sample(KINDS, len(KINDS)) if (asked := kind(row, found, rng))), None)
        if asked is None:
            continue
        right, wrong = _choices(asked, rng)
        if len(wrong) == _WRONG and asked.proof(Fraction(_NOT_DIGITS.sub("", right))):
            fields = {"title": title, **asked.fields}
            wrong = [CANNOT, *wrong[1:]] if rng.random() < _LISTED else wrong
            yield multiple_choice(rng, product_entity(row.id), fields, right, wrong, key=row.locale)


def _choices(asked: Calculation, rng: random.Random) -> tuple[str, list[str]]:
    """The right answer and wrong ones. How many of these are smaller is drawn first: size must not tell."""
    right = asked.written.format(rounded(asked.right, asked.places))
    smaller = rng.randint(0, _WRONG)
    wanted = {True: smaller, False: _WRONG - smaller}
    wrong, spare = list[str](), list[str]()
    slips = rng.sample(asked.slips, len(asked.slips))
    for value in chain(slips, (asked.right * slip for slip in rng.sample(_SLIPS, len(_SLIPS)))):
        number = rounded(value, asked.places)
        text = asked.written.format(number)
        if number <= 0 or text in (right, *wrong, *spare):
            continue
        side = value < asked.right
        (wrong if wanted[side] else spare).append(text)
        wanted[side] -= bool(wanted[side])
        if len(wrong) == _WRONG:
            break
    return right, [*wrong, *spare][:_WRONG]
