"""MMLU: multiple choice; exams (14,042 test, 1,531 validation, 285 dev) and 99,842 auxiliary questions (ARC, ...).

https://github.com/hendrycks/test, MIT. ``mmlu/auxiliary_train.csv`` and ``mmlu/{test,val,dev}/{subject}_{...}.csv``;
or as the original archive has it, ``mmlu/data/``, with ``auxiliary_train/*.csv``, ``test/``, ``val/`` and ``dev/``.
Read in all three published forms; the original has no header and a letter (rows invented):

    Which of these floats on water?,a nail,a cork,a coin,a brick,B

    question,choice0,choice1,choice2,choice3,answer
    Which of these floats on water?,a nail,a cork,a coin,a brick,1

and Parquet, as on the Hugging Face hub: question, subject, choices (list of 4), answer (0-3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dataset_builders.raw import RawData
from dataset_builders.sources._files import find, find_all, read, text
from spine.raw_rows import RawRow

_CSV = ("question", "choice0", "choice1", "choice2", "choice3", "answer")
_PARQUET = ("question", "choices", "answer")
_EXAMS = ("test", "val", "dev")
_EXAM = re.compile(rf"_(?:{'|'.join(_EXAMS)})$")  # how a file's name ends


class Item(NamedTuple):
    question: str
    choices: tuple[str, str, str, str]
    answer: int  # 0 to 3
    subject: str  # the file's name


def auxiliary(raw: RawData) -> Iterator[Item]:
    """The auxiliary training questions."""
    folder = _folder(raw)
    several = folder / "auxiliary_train"
    return questions(raw, find_all(several, "*") if several.is_dir() else [find(folder, "auxiliary_train")])


def exams(raw: RawData) -> Iterator[Item]:
    """The questions of the exams, subject by subject: test, val and dev, or those of them that are there."""
    folder = _folder(raw)
    there = [part for part in _EXAMS if (folder / part).is_dir()] or _EXAMS[:1]
    return questions(raw, [path for part in there for path in find_all(folder / part, f"*_{part}")])


def _folder(raw: RawData) -> Path:
    """That of the archive, where it was unpacked as it is."""
    archive = raw / "mmlu" / "data"
    return archive if archive.is_dir() else raw / "mmlu"


def is_exam(path: Path) -> bool:
    """Whether a file is one of the exams, by its name: ``anatomy_test.csv``."""
    return _EXAM.search(path.name.partition(".")[0]) is not None


def questions(raw: RawData, paths: Iterable[Path]) -> Iterator[Item]:
    """Those of some files."""
    for path in paths:
        subject = _EXAM.sub("", path.name.partition(".")[0])

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
