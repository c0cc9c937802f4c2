"""A blend's rows beside the questions of evaluation files, by type: how long they are, how worded, how answered."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]

from spine.asked import listed_texts
from spine.forms import question_rows
from spine.given import given
from spine.task_types import TaskType

COLUMNS = ("type", "", "questions", "words: 10%", "50%", "90%", "distinct", "options", "answers")
_MOST = 2_000  # of ours of one type: they are mixed, so that the first are a sample
_WORD = re.compile(r"\w+")
_FORMS = 4  # of answers, the most frequent
_LISTED = (TaskType.MULTIPLE_CHOICE, TaskType.RETRIEVAL, TaskType.RANKING)


class _Asked(NamedTuple):
    prompt: str
    truth: Any


def beside(train: Path, files: Sequence[Path]) -> list[dict[str, str]]:
    """Lines of a table with ``COLUMNS``: of each type that the files ask, our rows and theirs.

    Words are counted in the prompts; ``distinct`` ones in as many questions of either side, since more have more.

    Args:
        train: a blend's ``train.parquet``.
    """
    theirs = _sorted(_of_files(files))
    ours = _sorted(_of_rows(train, set(theirs)))
    return [
        _line(kind, whose, questions, min(len(ours.get(kind, theirs[kind])), len(theirs[kind])))
        for kind in TaskType
        if kind in theirs
        for whose, questions in (("ours", ours.get(kind, [])), ("theirs", theirs[kind]))
    ]


def _sorted(asked: Iterator[tuple[TaskType, _Asked]]) -> dict[TaskType, list[_Asked]]:
    found: dict[TaskType, list[_Asked]] = {}
    for kind, question in asked:
        found.setdefault(kind, []).append(question)
    return found


def _of_files(files: Sequence[Path]) -> Iterator[tuple[TaskType, _Asked]]:
    for path in files:
        for _, row in question_rows(path)[0]:
            with suppress(ValueError):  # which whoever asks it is told
                found = given(row)
                yield found.type, _Asked(found.prompt, found.truth)


def _of_rows(train: Path, kinds: set[TaskType]) -> Iterator[tuple[TaskType, _Asked]]:
    left = dict.fromkeys(kinds, _MOST)
    with pq.ParquetFile(train) as file:
        for batch in file.iter_batches(columns=["task_type", "messages", "truth"]):
            for row in batch.to_pylist():
                kind = TaskType(row["task_type"])
                if left.get(kind, 0):
                    left[kind] -= 1
                    yield kind, _Asked(row["messages"][1]["content"], json.loads(row["truth"]))
            if not any(left.values()):
                return


def _line(kind: TaskType, whose: str, questions: Sequence[_Asked], alike: int) -> dict[str, str]:
    if not questions:
        return dict(zip(COLUMNS, (kind.short, whose, "0", *("-" * 6)), strict=True))
    lengths = np.percentile([len(one.prompt.split()) for one in questions], (10, 50, 90))
    distinct = {word for one in islice(questions, alike) for word in _WORD.findall(one.prompt.casefold())}
    listed = [len(listed_texts(one.prompt)) for one in questions] if kind in _LISTED else []
    forms = Counter(_form(kind, one.truth) for one in questions if one.truth is not None)
    answers = ", ".join(f"{form} {count / forms.total():.0%}" for form, count in forms.most_common(_FORMS))
    options = f"{min(listed)}-{max(listed)}" if listed else "-"
    numbers = (f"{length:.0f}" for length in lengths)
    values = (kind.short, whose, f"{len(questions):,}", *numbers, f"{len(distinct):,}", options, answers or "-")
    return dict(zip(COLUMNS, values, strict=True))


def _form(kind: TaskType, truth: Any) -> str:
    """Of an answer: the option, how many numbers or phrases, how many words."""
    match kind:
        case TaskType.MULTIPLE_CHOICE:
            return str(truth)
        case TaskType.GENERATION:
            words = len(str(truth if isinstance(truth, str) else truth[0]).split())
            return next((told for most, told in _WORDS.items() if words <= most), "over 20 words")
        case _:
            things = {TaskType.RETRIEVAL: "position", TaskType.RANKING: "weight", TaskType.NER: "phrase"}[kind]
            return f"{len(truth)} {things}{'s' * (len(truth) != 1)}"


_WORDS: Mapping[int, str] = {1: "a word", 5: "2-5 words", 20: "6-20 words"}
