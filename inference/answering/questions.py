"""Questions to be answered: those of a file, or of all files in a folder, in any form that ``spine.given`` reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from spine.asked import Asked, asked
from spine.errors import RecipeError, did_you_mean
from spine.forms import question_rows
from spine.given import given
from spine.paths import shown
from spine.prompts import clean
from spine.raw_rows import ENDINGS, place
from spine.task_types import METRICS, TaskType, Truth

_ENDINGS = tuple(f".{ending}" for ending in ENDINGS)
_WRONG_SHOWN, _LETTERS_SHOWN = 5, 400
_MOST_LEFT_OUT = 0.5  # of a file's rows
Tell = Callable[[str], None]


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
    return Question(prompt, asks, asks.type, None, "", METRICS[asks.type][0])


def read_questions(
    path: Path,
    *,
    limit: int | None = None,
    tasks: Sequence[str] = (),
    tracks: Sequence[int] = (),
    tell: Tell = lambda line: None,
) -> list[Question]:
    """The questions of a file, or of all files in a folder (MMLU's has one a subject).

    The first ``limit`` of each task, and of ``tasks`` or ``tracks`` alone where some are given. Rows that name no task
    are of one that is called like their file. ``tell`` is given a line about each file of which rows are left out.

    Raises:
        RecipeError: a file is not one of questions: the first of the rows that are none are named.
    """
    questions = [question for file, name in question_files(path).items() for question in _of_file(file, name, tell)]
    return _chosen(questions, limit, tasks, tracks, path)


def question_files(path: Path) -> dict[Path, str]:
    """The files of ``path``, each with the name that its rows' task has where they name none.

    Raises:
        RecipeError: a folder without such files.
    """
    if not path.exists():
        raise RecipeError("no such file of questions", where=shown(path), way_out="QUESTIONS=/path/to/development.json")
    if not path.is_dir():
        return {path: _task_name(path.name)}
    files = sorted(file for file in path.rglob("*") if file.name.endswith(_ENDINGS) and file.is_file())
    if not files:
        raise RecipeError(f"holds no files of questions ({', '.join(_ENDINGS)})", where=shown(path))
    names = Counter(_task_name(file.name) for file in files)
    # EC-Guide has two files PKS.json, of different tasks.
    return {
        file: _task_name(file.name if names[_task_name(file.name)] == 1 else str(file.relative_to(path)))
        for file in files
    }


def _task_name(file: str) -> str:
    return str(Path(file.removesuffix(".gz")).with_suffix("")).removesuffix("_test")


def _of_file(path: Path, name: str, tell: Tell) -> list[Question]:
    """What cannot be answered right is left out, and told: neither can it be trained on."""
    questions: list[Question] = []
    faults: list[str] = []
    rows, unit = question_rows(path)
    for number, row in rows:
        try:
            found = given(row)
        except ValueError as error:
            faults.append(f"{place(path, unit, number)}: {str(error)[:_LETTERS_SHOWN]}")
            continue
        questions.append(
            Question(found.prompt, found.asked, found.type, found.truth, found.task or name, found.metric, found.track)
        )
    first = "".join(f"\n  {fault}" for fault in faults[:_WRONG_SHOWN])
    total = len(questions) + len(faults)
    if len(faults) > _MOST_LEFT_OUT * total:
        raise RecipeError(f"{len(faults):,} of {total:,} rows cannot be asked; the first:{first}", where=shown(path))
    if not questions:
        raise RecipeError("holds no questions", where=shown(path))
    if faults:
        tell(f"left out  {len(faults):,} of {total:,} rows of {shown(path)}, which cannot be asked; the first:{first}")
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
