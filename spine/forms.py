"""The forms in which files have questions, each made into a row of ShopBench's, which ``spine.given`` reads.

Exams (MMLU's CSV with and without a header, of 2 to 10 options, and its Parquet; ARC's), instructions (Alpaca), one
exchange (``messages``, ShareGPT's ``conversations``), a run's own rows.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from spine.raw_rows import RawRow, Unreadable, csv_records, is_utf8, raw_rows
from spine.task_types import TaskType

FORMS = (
    "input_field, output_field, task_type (ShopBench, EC-Guide); question, choices, answer (MMLU, ARC); "
    "instruction, input, output (Alpaca); messages or conversations with one question and its answer"
)
_READ = ("input_field", "output_field", "task_type", "task_name", "instruction", "messages", "conversations")
_OURS = ("texts", "listed")  # told by the form of an exam, not by a file
_ROLES = {"human": "user", "gpt": "assistant"}  # ShareGPT's names
_LETTERS = "ABCDEFGHIJ"
# Of our own datasets, those that stand for ShopBench's task6 (rougel) and task17 (bleu, jp-bleu).
_DATASET_METRICS = {"review_aspect_keyphrase": "rougel", "multilingual_title": "bleu"}
_JAPANESE = re.compile(r"[぀-ヿ]")


def question_rows(path: Path) -> tuple[Iterator[tuple[int, Any]], str]:
    """The numbered rows of a file of questions, and what the numbers count (``raw_rows``).

    A CSV without a header is MMLU's original form: question, options, letter.

    Raises:
        RecipeError: no file of rows, or one that is broken as a whole.
    """
    rows, unit = raw_rows(path)
    csv = path.name.removesuffix(".gz").endswith(".csv")
    return (_csv_rows(path) if csv else rows), unit


def asks(row: Any) -> dict[str, Any]:
    """A row of any form in ShopBench's; an exam's also has its ``texts``, question and options, and what is ``listed``.

    Raises:
        ValueError: it is of no known form, and why.
    """
    with as_value_errors():
        return _asks(row)


def _asks(row: Any) -> dict[str, Any]:
    if isinstance(row, Unreadable):
        raise ValueError(row.problem)
    if not isinstance(row, dict):
        raise TypeError(f"an object was expected, not {type(row).__name__}")
    _refuse_misspelt(tuple(row))
    if "input_field" in row:
        return {name: value for name, value in row.items() if name not in _OURS}
    if "messages" in row or "conversations" in row:
        return _exchange(row)
    if "question" in row and (options := _options(row)):
        return _exam(row, *options)
    if isinstance(row.get("instruction"), str) and "output" in row:
        if row.get("options"):
            raise ValueError("an instruction with options of its own: write them into its input")
        prompt = "\n".join(filter(None, (row["instruction"], row.get("input"))))
        return _free(row, prompt, row["output"])
    raise ValueError(f"no 'input_field' among its keys {', '.join(map(str, row)) or '(none)'}; read are: {FORMS}")


@lru_cache(1024)
def _refuse_misspelt(keys: tuple[Any, ...]) -> None:
    """A key that is nearly one that is read, and missing: ``task_typ`` would have the type found in the words.

    Raises:
        ValueError: with both.
    """
    for key in keys:
        near = difflib.get_close_matches(str(key).strip().lower(), _READ, n=1, cutoff=0.85)
        if near and key not in _READ and near[0] not in keys:
            raise ValueError(f"the key '{key}' is not read; did you mean '{near[0]}'?")


@contextmanager
def as_value_errors() -> Iterator[None]:
    """What a row lacks, or has of another type, as the one kind of error that tells a row is none."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"no {error}") from error
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _csv_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Rows by the names of the first record, or those of an exam where that is a question already."""
    head: list[str] | None = None
    first = True
    for number, record in csv_records(path):
        if isinstance(record, Unreadable):
            yield number, record
        elif not is_utf8(record):
            yield number, Unreadable("not UTF-8")
        elif first and {"input_field", "question", "instruction"} & {cell.strip().lower() for cell in record}:
            head = [cell.strip().lower() for cell in record]
        elif head is None:
            yield number, {"question": record[0], "choices": record[1:-1], "answer": record[-1]}
        elif len(record) != len(head):
            yield number, Unreadable(f"{len(record)} fields where {len(head)} were expected")
        else:
            yield number, dict(zip(head, record, strict=True))
        first = False


def _options(row: RawRow) -> tuple[list[str], list[str]] | None:
    """Options and their labels: MMLU's list or columns, or ARC's object of both."""
    found = row.get("choices")
    if isinstance(found, Mapping):
        return list(found["text"]), [str(label).strip() for label in found["label"]]
    if found is None:
        found = [row[name] for name in (f"choice{at}" for at in range(len(_LETTERS))) if row.get(name) is not None]
        found = found or [row[name] for name in _LETTERS.lower() if row.get(name) is not None]
    return (list(found), list(_LETTERS[: len(found)])) if found else None


def _exam(row: RawRow, options: list[str], labels: list[str]) -> dict[str, Any]:
    """The answer is a label, or a number from 0."""
    if not 2 <= len(options) <= len(_LETTERS):
        raise ValueError(f"{len(options)} options: 2 to {len(_LETTERS)} were expected")
    if not isinstance(row["question"], str):
        raise TypeError("the question is no text")
    texts = [row["question"].strip(), *(str(option).strip() for option in options)]
    lines = "\n".join(f"{number}. {text}" for number, text in enumerate(texts[1:]))
    answer = str(row["answerKey"] if "answerKey" in row else row.get("answer", "")).strip()
    numbers = dict(zip(map(str, range(len(options))), range(len(options)), strict=True))
    numbers |= {label: at for at, label in enumerate(labels)}
    if answer and answer not in numbers:
        raise ValueError(f"the answer {answer!r} is none of {', '.join(labels)}, nor a number from 0")
    return {
        "input_field": f"{texts[0]}\n{lines}\nAnswer:",
        "output_field": numbers.get(answer),
        "task_type": TaskType.MULTIPLE_CHOICE,
        "task_name": row.get("subject"),
        "texts": texts,
        "listed": tuple(numbers.values())[: len(options)],
    }


def _exchange(row: RawRow) -> dict[str, Any]:
    """One question and its answer. A system turn is asked with them, but that of our own rows, which have ``truth``."""
    turns = row["messages"] if "messages" in row else row["conversations"]
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise TypeError("messages are a list of turns with role and content, or from and value")
    texts = {"system": "", "user": "", "assistant": ""}
    for turn in turns:
        role = turn.get("role", turn.get("from"))
        role, content = _ROLES.get(str(role), str(role)), turn.get("content", turn.get("value"))
        if not isinstance(content, str) or role not in texts or texts[role]:
            raise ValueError(
                f"{len(turns)} turns: one question (user) and its answer (assistant) as texts were expected"
            )
        texts[role] = content
    if not texts["user"]:
        raise ValueError("no turn of the user: nothing is asked")
    if "truth" not in row:
        return _free(row, "\n".join(filter(None, (texts["system"], texts["user"]))), texts["assistant"])
    truth, task = json.loads(row["truth"]), row["task"]
    metric = _DATASET_METRICS.get(task)
    return {
        "input_field": texts["user"],
        "output_field": truth,
        "task_type": row["task_type"],
        "task_name": task,
        "metric": "jp-bleu" if metric == "bleu" and _JAPANESE.search(str(truth)) else metric,
        "track": row["track"],
    }


def _free(row: RawRow, prompt: str, answer: Any) -> dict[str, Any]:
    """An instruction and its answer: in free words, unless the row says another type."""
    kept = {name: row[name] for name in ("task_name", "metric", "track") if name in row}
    return kept | {
        "input_field": prompt,
        "output_field": answer,
        "task_type": row.get("task_type") or TaskType.GENERATION,
    }
