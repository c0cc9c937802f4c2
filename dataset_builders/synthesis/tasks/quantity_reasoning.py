"""Calculations with the numbers of a title: the model words the question and sets up the sum, code computes it."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated

from dataset_builders.sources import amazon_m2
from dataset_builders.synthesis.declare import Form, Seed, Seeds, Short, Synthesis, Text, Unfit, exactly
from dataset_builders.synthesis.rules import computed, counted, in_language, numbers
from dataset_builders.synthesis.tasks._common import multiple_choice
from dataset_builders.task import Questions, RawData, Seeded
from dataset_builders.tasks._common import one_line, product_entity
from dataset_builders.tasks._quantities import rounded

_LONGEST = 250  # characters of a title
_PLACES = 2
# Numbers that a sum may hold though neither title nor question names them: units, percent, halves, dozens.
_KNOWN = {"2", "10", "12", "16", "100", "1000", "60", "24", "7", "2.54", "25.4", "28.35", "30.48", "453.59", "0.001"}
_UNIT = re.compile(r"[^\W\d_][\w./ -]{0,11}|[€£$¥%]")


class Calculation(Form):
    question: Text
    calculation: Short
    answer: float
    unit: str
    wrong_answers: Annotated[list[float], exactly(3)]


def _seeds(raw: RawData, seeded: Seeded) -> Seeds:
    for row in amazon_m2.products(raw):
        if seeded.wants(product_entity(row.id), row.locale):
            title = one_line(row.title, _LONGEST)
            if any(map(str.isdigit, title)):
                yield Seed(product_entity(row.id), {"title": title}, "", key=row.locale)


def _questions(seed: Seed, answer: Calculation) -> Questions:
    title, question = seed.fields["title"], one_line(answer.question)
    in_language(counted(question, 6, 60, "question"), "English")
    used = numbers(answer.calculation)
    if not used & numbers(title):
        raise Unfit("does not use the title", "the calculation uses no number of the title")
    if stray := used - numbers(title) - numbers(question) - _KNOWN:
        raise Unfit("a number from nowhere", f"{min(stray)} stands neither in the title nor in the question")
    if not re.search(r"[-+*/×÷]", answer.calculation.lstrip("-")):
        raise Unfit("no calculation", "nothing is calculated")
    right = computed(answer.calculation)
    if abs(right - Fraction(str(answer.answer))) > Fraction(1, 2 * 10**_PLACES):
        raise Unfit("the arithmetic is wrong", f"{answer.calculation} is {float(right):g}, not {answer.answer:g}")
    if right <= 0 or any(value <= 0 for value in answer.wrong_answers):
        raise Unfit("a value that cannot be", "all answers must be above zero")
    if answer.unit and not _UNIT.fullmatch(answer.unit):
        raise Unfit("no unit", f"{answer.unit[:20]!r} is no unit")
    first, *others = (f"{rounded(Fraction(str(value)), _PLACES):f} {answer.unit}".strip()
                      for value in (float(right), *answer.wrong_answers))  # fmt: skip
    fields = {"title": title, "kind": "written", "question": question}
    yield multiple_choice(seed, fields, first, others)


synthesis = Synthesis(__name__, Calculation, _seeds, _questions, tokens=220)
