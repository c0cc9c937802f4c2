"""MMLU: multiple choice; 14,042 test questions and 99,842 auxiliary ones (ARC, MC_TEST, OBQA, RACE).

https://github.com/hendrycks/test, MIT. ``mmlu/auxiliary_train.csv`` and ``mmlu/test/{subject}_test.csv``.
Read in all three published forms; the original has no header and a letter (rows invented):

    Which of these floats on water?,a nail,a cork,a coin,a brick,B

    question,choice0,choice1,choice2,choice3,answer
    Which of these floats on water?,a nail,a cork,a coin,a brick,1

and Parquet, as on the Hugging Face hub: question, subject, choices (list of 4), answer (0-3).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dataset_builders.raw import RawData, RawRow
from dataset_builders.sources._files import find, find_all, read, text

_CSV = ("question", "choice0", "choice1", "choice2", "choice3", "answer")
_PARQUET = ("question", "choices", "answer")


class Item(NamedTuple):
    question: str
    choices: tuple[str, str, str, str]
    answer: int  # 0 to 3
    subject: str  # the file's name for the test; "auxiliary_train" otherwise


def auxiliary(raw: RawData) -> Iterator[Item]:
    """The auxiliary training questions."""
    return _items(raw, [find(raw / "mmlu", "auxiliary_train")])


def test(raw: RawData) -> Iterator[Item]:
    """The test questions, subject by subject."""
    return _items(raw, find_all(raw / "mmlu" / "test", "*_test"))


def _items(raw: RawData, paths: list[Path]) -> Iterator[Item]:
    for path in paths:
        subject = path.name.partition(".")[0].removesuffix("_test")

        def parse(row: RawRow, subject: str = subject) -> Item:
            choices = row["choices"] if "choices" in row else [row[column] for column in _CSV[1:5]]
            if len(choices) != 4:
                raise ValueError(f"4 choices were expected, not {len(choices)}")
            a, b, c, d = map(text, choices)
            return Item(text(row["question"]), (a, b, c, d), _answer(row["answer"]), subject)

        yield from read(raw, path, _PARQUET if path.suffix == ".parquet" else _CSV, parse, headerless=True)


def _answer(value: Any) -> int:
    """A letter in the original, a number in the mirrors."""
    number = {"A": 0, "B": 1, "C": 2, "D": 3, "0": 0, "1": 1, "2": 2, "3": 3}.get(str(value).strip())
    if number is None:
        raise ValueError(f"the answer {value!r} is neither A-D nor 0-3")
    return number
