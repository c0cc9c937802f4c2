"""Questions of one's own: a file in the form of ShopBench or of EC-Guide, as an entry of a blend.

    my_questions: {path: my/questions.jsonl, rows: 500, why: what our customers ask}

JSON lines, a JSON array, CSV or Parquet; https://github.com/ZJU-AI4H/EC-Guide (Apache-2.0) has such files. A row
(invented; ``task_type`` is one of ShopBench's five):

    {"input_field": "Which one is a fruit?\\n0. a fig\\n1. a fork\\nAnswer: ", "output_field": 0,
     "task_type": "multiple-choice"}
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataset_builders.pools.fitness import MOST_RETRIEVED, problem
from dataset_builders.raw import RawData, RawRow
from dataset_builders.sources import mmlu
from dataset_builders.sources._files import known, read, text
from dataset_builders.task import Question, Seeded, Task
from spine.manifest import digest
from spine.paths import shown
from spine.task_types import TaskType

WORDING = "as given"
_COLUMNS = ("input_field", "output_field", "task_type")
_OPTION = re.compile(r"^[ \t]*(\d{1,2})[.)][ \t]*(?=\S)", re.MULTILINE)
# A list may begin on the line of its label: "Products: 0. a lamp".
_FIRST = re.compile(r": *(\d)[.)] +(?=\S)")


def own_task(name: str, path: Path) -> Task:
    """A file as a dataset of the blend. Its prompts stand as they are: there is one wording.

    The type is each row's own; the task's is only what tables show.
    """

    def build(raw: RawData, seeded: Seeded) -> Iterator[Question]:
        return read(raw, path, _COLUMNS, _question)

    return Task(name, TaskType.GENERATION, "own", None, None, f"questions of {shown(path)}", build)


def prompts(raw: RawData, path: Path) -> Iterator[tuple[int, str]]:
    """The numbered questions of an evaluation file, without their answers; of MMLU's files, too: question and choices
    are texts of their own there, as in the rows that are made of them (``\\0``: ``pools.likeness``)."""
    if mmlu.is_exam(path):
        return enumerate(("\0".join((item.question, *item.choices)) for item in mmlu.questions(raw, [path])), start=1)
    return enumerate(read(raw, path, _COLUMNS[:1], lambda row: text(row["input_field"])), start=1)


def _question(row: RawRow) -> Question:
    """Raises ValueError where the answer does not fit the type or the numbers listed in the prompt."""
    prompt, given = text(row["input_field"]), row["output_field"]
    if not prompt:
        raise ValueError("input_field is empty")
    truth = _printed(given) if isinstance(given, str) else given
    kind = TaskType(known(row["task_type"], [kind.value for kind in TaskType]))
    if kind is TaskType.MULTIPLE_CHOICE and truth in ("yes", "no"):
        kind = TaskType.GENERATION  # EC-Guide's metric `bool`: a word is answered, no number of an option
    if kind is TaskType.GENERATION:
        truth = text(given)
    if kind is TaskType.NER and isinstance(truth, list):
        truth = [phrase.strip() if isinstance(phrase, str) else phrase for phrase in truth]
    if trouble := _problem(kind, truth, _listed(prompt)):
        raise ValueError(trouble)
    if kind is TaskType.RETRIEVAL:
        truth = truth[:MOST_RETRIEVED]  # no more are read
    return Question(f"own:{digest(prompt)[:16]}", {"prompt": prompt}, truth, type=kind)


def _printed(given: str) -> Any:
    """Some files print their answers as JSON: ``"2"``, ``"[1, 3]"``."""
    try:
        return json.loads(given)
    except json.JSONDecodeError:
        return given


def _listed(prompt: str) -> set[int]:
    """The numbers in front of what the prompt lists, from 0 or from 1."""
    numbers = {int(number) for number in _OPTION.findall(prompt)}
    return numbers | {int(number) for number in _FIRST.findall(prompt)} if numbers else numbers


def _problem(kind: TaskType, truth: Any, listed: set[int]) -> str | None:
    """What is wrong with the answer; where the prompt lists choices, it must be one of them."""
    if kind is TaskType.MULTIPLE_CHOICE and listed:
        fits = type(truth) is int and truth in listed
        return None if fits else f"the answer {truth!r} is not among the options {sorted(listed)}"
    if kind is TaskType.RETRIEVAL:
        whole = isinstance(truth, list) and truth and all(type(at) is int for at in truth)
        if not whole:
            return f"a list of numbers was expected as answer, not {truth!r}"
        outside = [at for at in truth if listed and at not in listed]
        return f"the answer {outside[0]} is not in the list" if outside else None
    if kind is TaskType.RANKING:
        if not (isinstance(truth, list) and all(isinstance(weight, int | float) for weight in truth)):
            return f"a list of weights was expected as answer, not {truth!r}"
        return problem(kind, Question("", {"items": [f"item {at}" for at in range(len(truth))]}, truth))
    if kind is TaskType.NER and not (isinstance(truth, list) and all(isinstance(phrase, str) for phrase in truth)):
        return f"a list of phrases was expected as answer, not {truth!r}"
    return problem(kind, Question("", {}, truth))
