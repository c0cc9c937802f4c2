"""Questions to be answered: ShopBench's JSON lines, EC-Guide's JSON, MMLU's CSV or Parquet, a run's held-out rows.

A row of ShopBench or EC-Guide (invented; only ``input_field`` and either ``is_multiple_choice`` or ``task_type`` are
needed where nothing is to be scored):

    {"input_field": "Which one is a fruit?\\n0. a fig\\n1. a fork\\nAnswer: ", "output_field": 0,
     "task_type": "multiple-choice", "metric": "accuracy", "track": "amazon-kdd-cup-24-shopping-knowledge-reasoning"}
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StrictFloat, StrictInt, StrictStr, TypeAdapter, ValidationError

from inference.answering.task_type import Asked, asked
from spine.errors import RecipeError, did_you_mean
from spine.json_rows import json_rows
from spine.paths import shown
from spine.prompts import clean
from spine.task_types import TaskType, Truth

TRACKS = {
    "understanding-shopping-concepts": 1,
    "shopping-knowledge-reasoning": 2,
    "user-behavior-alignment": 3,
    "multi-lingual-abilities": 4,
}
MICRO_F1 = "micro f1"
SENTENCES = ("sent-transformer", "multilingual-sent-transformer")
METRICS = ("accuracy", "hit rate@3", "ndcg", MICRO_F1, "rougel", "bleu", "jp-bleu", *SENTENCES, "bool")
# Of a question whose file names none: what ShopBench uses for most questions of the type.
USUAL = {
    TaskType.MULTIPLE_CHOICE: "accuracy",
    TaskType.RETRIEVAL: "hit rate@3",
    TaskType.RANKING: "ndcg",
    TaskType.NER: MICRO_F1,
    TaskType.GENERATION: "sent-transformer",
}
# Of our own datasets, those that stand for ShopBench's task6 (rougel) and task17 (bleu, jp-bleu).
_DATASET_METRICS = {"review_aspect_keyphrase": "rougel", "multilingual_title": "bleu"}
_JAPANESE = re.compile(r"[぀-ヿ]")
_WRONG_SHOWN = 5
_LONGEST_CELL = 1 << 24  # letters; Python's own limit is 131,072
_TRUTHS: dict[TaskType, TypeAdapter[Any]] = {
    TaskType.MULTIPLE_CHOICE: TypeAdapter(StrictInt),
    TaskType.RETRIEVAL: TypeAdapter(Annotated[list[StrictInt], Field(min_length=1)]),
    TaskType.RANKING: TypeAdapter(Annotated[list[StrictInt | StrictFloat], Field(min_length=1)]),
    TaskType.NER: TypeAdapter(list[StrictStr]),
}
_ENDINGS = (".json", ".jsonl", ".csv", ".parquet")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """One question. ``prompt`` is cleaned as in training (``spine.prompts.clean``).

    Attributes:
        asked: what the prompt asks for, found as at the contest: from the prompt and ``is_multiple_choice`` alone.
        type: as the file has it, which decides the parser; where it has none, ``asked.type``.
        truth: in ShopBench's ``output_field`` form; None where there is none.
        track: 1-4, or None.
    """

    prompt: str
    asked: Asked
    type: TaskType
    truth: Truth | None
    task: str
    metric: str
    track: int | None = None


def unscored(prompt: str, is_multiple_choice: bool | None) -> Question:
    """A question as the contest asks it. ``is_multiple_choice``: None where nobody tells."""
    prompt = clean(prompt)
    asks = asked(prompt, is_multiple_choice)
    return Question(prompt, asks, asks.type, None, "", USUAL[asks.type])


def read_questions(
    path: Path, *, limit: int | None = None, tasks: Sequence[str] = (), tracks: Sequence[int] = ()
) -> list[Question]:
    """The questions of a file, or of all files in a folder (MMLU's has one a subject).

    The first ``limit`` of each task, and of ``tasks`` or ``tracks`` alone where some are given. Rows that name no task
    are of one that is called like their file.

    Raises:
        RecipeError: a file is not one of questions, or has rows that are none: the first of them are named.
    """
    questions = [question for file, name in question_files(path).items() for question in _of_file(file, name)]
    return _chosen(questions, limit, tasks, tracks, path)


def question_files(path: Path) -> dict[Path, str]:
    """The files of ``path``, each with the name that its rows' task has where they name none.

    Raises:
        RecipeError: a folder without such files.
    """
    if not path.is_dir():
        return {path: _task_name(path.name)}
    files = sorted(file for file in path.rglob("*") if file.suffix in _ENDINGS and file.is_file())
    if not files:
        raise RecipeError(f"holds no files of questions ({', '.join(_ENDINGS)})", where=shown(path))
    names = Counter(_task_name(file.name) for file in files)
    # EC-Guide has two files PKS.json, of different tasks.
    return {
        file: _task_name(file.name if names[_task_name(file.name)] == 1 else str(file.relative_to(path)))
        for file in files
    }


def _task_name(file: str) -> str:
    return str(Path(file).with_suffix("")).removesuffix("_test")


def _of_file(path: Path, name: str) -> list[Question]:
    questions: list[Question] = []
    faults: list[str] = []
    for place, row in _rows(path):
        try:
            questions.append(_reader(row)(row, name))
        except (ValueError, KeyError, TypeError) as error:
            faults.append(f"row {place}: {error if isinstance(error, ValueError) else f'no {error}'}")
    if faults:
        more = f"\n  and {len(faults) - _WRONG_SHOWN} more" if len(faults) > _WRONG_SHOWN else ""
        raise RecipeError("\n  ".join(faults[:_WRONG_SHOWN]) + more, where=shown(path))
    if not questions:
        raise RecipeError("holds no questions", where=shown(path))
    return questions


def _chosen(
    questions: list[Question], limit: int | None, tasks: Sequence[str], tracks: Sequence[int], path: Path
) -> list[Question]:
    there = {question.track for question in questions}
    if missing := [str(track) for track in tracks if track not in there]:
        of = ", ".join(str(track) for track in sorted(filter(None, there))) or "none"
        raise RecipeError(f"has no questions of track {', '.join(missing)}; it has those of: {of}", where=shown(path))
    if tracks:
        questions = [question for question in questions if question.track in tracks]
    known = list(dict.fromkeys(question.task for question in questions))
    for name in tasks:
        if name not in known:
            raise RecipeError(f"has no task '{name}'", where=shown(path), way_out=did_you_mean(name, known))
    return [
        question
        for name in (tasks or known)
        for question in islice((one for one in questions if one.task == name), limit)
    ]


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Numbered rows, as dictionaries; of a CSV without a header, MMLU's original form."""
    if not path.is_file():
        raise RecipeError("no such file of questions", where=shown(path), way_out="QUESTIONS=/path/to/development.json")
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]

            yield from enumerate(pq.read_table(path).to_pylist(), start=1)
            return
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".csv":
            yield from enumerate(_csv_rows(text), start=1)
        else:
            yield from json_rows(text)
    except UnicodeDecodeError as error:
        raise RecipeError(f"is not UTF-8 text ({error.reason})", where=shown(path)) from error
    except (ValueError, csv.Error, OSError) as error:  # of JSON, of Parquet
        raise RecipeError(f"cannot be read: {error}", where=shown(path)) from error


def _csv_rows(text: str) -> Iterator[Row]:
    csv.field_size_limit(_LONGEST_CELL)
    # Not splitlines(): one of MMLU's choices holds U+0085, a line's end to Python.
    rows = list(csv.reader(io.StringIO(text, newline="")))
    head = ["question", "choice0", "choice1", "choice2", "choice3", "answer"]
    body = rows
    if rows and "question" in [cell.strip().lower() for cell in rows[0]]:
        head, body = [cell.strip().lower() for cell in rows[0]], rows[1:]
    for row in body:
        if row:
            yield dict(zip(head, row, strict=False))


def _reader(row: Any) -> Callable[[Row, str], Question]:
    if not isinstance(row, dict):
        raise ValueError(f"an object was expected, not {type(row).__name__}")
    if "messages" in row:
        return _held_out
    return _mmlu if "choice0" in row or "choices" in row else _shopbench


def _shopbench(row: Row, name: str) -> Question:
    if not isinstance(row["input_field"], str):
        raise ValueError("input_field is no text")
    prompt = clean(row["input_field"])
    kind = TaskType(row["task_type"]) if row.get("task_type") else None
    flag = row.get("is_multiple_choice", None if kind is None else kind is TaskType.MULTIPLE_CHOICE)
    asks = asked(prompt, flag)
    metric = row.get("metric") or USUAL[kind or asks.type]
    if metric == "bool":
        kind = TaskType.GENERATION  # a word is answered, no number of an option
    truth = _truth(kind or asks.type, row.get("output_field"), metric)
    track = TRACKS.get(str(row.get("track", "")).removeprefix("amazon-kdd-cup-24-"))
    return _question(prompt, asks, kind or asks.type, truth, row.get("task_name") or name, metric, track)


def _mmlu(row: Row, name: str) -> Question:
    """MMLU (MIT): a CSV per subject, or the hub's Parquet, which names it; the answer a letter, or a number from 0."""
    choices = row["choices"] if "choices" in row else [row[f"choice{at}"] for at in range(4)]
    answer = str(row["answer"]).strip()
    if answer not in (*"ABCD", *"0123"):
        raise ValueError(f"the answer {answer!r} is neither A-D nor 0-3")
    options = "\n".join(f"{at}. {choice}" for at, choice in enumerate(choices))
    prompt = clean(f"{row['question']}\n{options}\nAnswer:")
    truth = int(answer) if answer.isdigit() else "ABCD".index(answer)
    task = row.get("subject") or name
    return _question(prompt, asked(prompt, True), TaskType.MULTIPLE_CHOICE, truth, task, "accuracy", None)


def _held_out(row: Row, name: str) -> Question:
    """A row of a run's ``val.parquet``."""
    kind = TaskType(row["task_type"])
    prompt = clean(next(message["content"] for message in row["messages"] if message["role"] == "user"))
    truth = json.loads(row["truth"])
    metric = _DATASET_METRICS.get(row["task"], USUAL[kind])
    if metric == "bleu" and _JAPANESE.search(str(truth)):
        metric = "jp-bleu"
    asks = asked(prompt, kind is TaskType.MULTIPLE_CHOICE)
    return _question(prompt, asks, kind, truth, row["task"], metric, row["track"])


def _question(
    prompt: str, asks: Asked, kind: TaskType, truth: Truth | None, task: str, metric: str, track: int | None
) -> Question:
    if metric not in METRICS:
        raise ValueError(f"no metric '{metric}' (known: {', '.join(METRICS)})")
    return Question(prompt, asks, kind, truth, task, metric, track)


def _truth(kind: TaskType, given: Any, metric: str) -> Truth | None:
    """``output_field`` in the form that ``kind`` has; some files print it as JSON: ``"2"``, ``"[1, 3]"``."""
    if given is None:
        return None
    if kind is TaskType.GENERATION:
        if not isinstance(given, str) and metric not in SENTENCES:
            raise ValueError(f"output_field {given!r} is no text")
        return given  # type: ignore[no-any-return]
    schema: TypeAdapter[Truth] = _TRUTHS[kind]
    try:
        return schema.validate_json(given) if isinstance(given, str) else schema.validate_python(given)
    except ValidationError as error:
        raise ValueError(f"output_field {given!r} does not fit {kind.value}") from error
