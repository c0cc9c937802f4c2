"""Scores laid out: by track as on the slides, by task, beside the contest's clock; as data, and for the terminal.

``scores.json`` has its numbers per track and overall: a *part* is one of these, with score, interval and baseline.
Every table of scores, here, in the report and on the model cards, has these parts as its columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from rich.table import Table
from typing_extensions import TypedDict

from inference.scoring.scores import SCORES
from spine.errors import RecipeError
from spine.paths import shown
from spine.terminal import table

OVERALL = "overall"
_TRACKS = ("1", "2", "3", "4")
Part = Mapping[str, Any]  # score, low, high, constant: 0 to 1, or None where nothing could be computed


class _Part(TypedDict):
    score: float | None
    low: float | None
    high: float | None
    constant: float | None


class _Task(_Part):
    name: str
    metric: str
    track: int | None
    questions: int
    not_computed: str | None


class _Facts(TypedDict):
    questions: int
    prompts_shortened: int
    seen_as_another_type: int


class _Scores(TypedDict):
    """What the tables read of a ``scores.json``; it holds more."""

    model: str
    tasks: list[_Task]
    tracks: dict[str, _Part]
    overall: _Part
    facts: _Facts
    not_computed: dict[str, str]


@cache
def _form() -> TypeAdapter[_Scores]:
    return TypeAdapter(_Scores)


@dataclass(frozen=True)
class Line:
    """A row of a table by track. ``parts``: by track (``"1"``) or ``overall``."""

    name: str
    questions: int
    parts: Mapping[str, Part]


def read_scores(path: Path) -> dict[str, Any]:
    """A ``scores.json``, or that of a folder.

    Raises:
        RecipeError: there is none, or it is not one.
    """
    path = path / SCORES if path.is_dir() else path
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
        _form().validate_python(scores)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise RecipeError(
            f"is no scores.json: {'.'.join(map(str, first['loc']))}: {first['msg']}",
            where=shown(path), way_out="recipe eval writes it anew",
        ) from error  # fmt: skip
    except (OSError, ValueError, RecursionError) as error:
        raise RecipeError(f"is no scores.json: {error}", where=shown(path), way_out="recipe eval writes one") from error
    return {**scores, "path": shown(path)}


def parts(scores: Mapping[str, Any]) -> dict[str, Part]:
    """Those that have a score: the tracks, then ``overall``."""
    every: dict[str, Part] = {**scores["tracks"], OVERALL: scores[OVERALL]}
    return {name: part for name, part in every.items() if part["score"] is not None}


def by_track(several: Sequence[Mapping[str, Any]]) -> tuple[list[Line], list[Line]]:
    """A line for each model; a line for what the constant answer scores, for each set of questions among theirs."""
    models = [Line(scores["model"], scores["facts"]["questions"], parts(scores)) for scores in several]
    exams: dict[str, tuple[Line, str]] = {}
    for line, scores in zip(models, several, strict=True):  # the same questions have the same baseline
        key = json.dumps([[task["name"], task["questions"], task["constant"]] for task in scores["tasks"]])
        exams.setdefault(key, (line, scores["path"]))
    constants = [
        Line("the constant answer" + f" ({path})" * (len(exams) > 1), line.questions, line.parts)
        for line, path in exams.values()
    ]
    return models, constants


def cell(part: Part | None) -> str:
    """A score with its 95% interval."""
    if part is None or part["score"] is None:
        return "-"
    return f"{part['score']:.3f} [{part['low']:.2f}, {part['high']:.2f}]"


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def tracks_table(several: Sequence[Mapping[str, Any]]) -> Table:
    """The table of the slides, with 95% intervals, and what the constant answer scores on the same questions."""
    columns = [*_TRACKS, OVERALL]
    heads = ["questions", *(f"track {track}" for track in _TRACKS), OVERALL]
    made = table("scores by track", "model", *heads, right=heads)
    models, constants = by_track(several)
    for line in models:
        made.add_row(line.name, f"{line.questions:,}", *(cell(line.parts.get(name)) for name in columns))
    made.add_section()
    for line in constants:
        values = (line.parts.get(name, {}).get("constant") for name in columns)
        made.add_row(line.name, f"{line.questions:,}", *map(number, values), style="dim")
    return made


def tasks_table(scores: Mapping[str, Any]) -> Table:
    """One model's scores by task."""
    numbers = ("track", "questions", "score", "95% interval", "constant")
    made = table(scores["model"], "task", "metric", *numbers, "", right=numbers)
    for task in scores["tasks"]:
        known = task["score"] is not None
        interval = f"[{task['low']:.3f}, {task['high']:.3f}]" if known else "-"
        made.add_row(
            task["name"], task["metric"], str(task["track"] or "-"), f"{task['questions']:,}", number(task["score"]),
            interval, number(task["constant"]), "" if known else "not computed",
        )  # fmt: skip
    return made


def tasks_side_by_side(several: Sequence[Mapping[str, Any]]) -> Table:
    """One row per task that any of them has."""
    models = [scores["model"] for scores in several]
    made = table("scores by task", "task", "metric", *models, "constant", right=(*models, "constant"))
    of_task = [{task["name"]: task for task in scores["tasks"]} for scores in several]
    for name in dict.fromkeys(name for tasks in of_task for name in tasks):
        first = next(tasks[name] for tasks in of_task if name in tasks)
        cells = [cell(tasks.get(name)) for tasks in of_task]
        made.add_row(name, first["metric"], *cells, number(first["constant"]))
    return made


def contest_tables(contest: Mapping[str, Any]) -> Iterator[Table]:
    """Of an evaluation with --contest: seconds beside the limit, and what they come to on each track."""
    size, each = contest["batch_size"], contest["limit_seconds_a_question"]
    numbers = ("median", "95%", "slowest", "limit", "questions beyond")
    taken = table(f"{contest['batches']:,} batches, in seconds", "", *numbers, right=numbers)
    for name, key, limit, late in [
        (f"a batch of at most {size}", "seconds_a_batch", f"{each * size:g}", ""),
        ("a question", "seconds_a_question", f"{each:g}", f"{contest['questions_over_the_limit']:,}"),
    ]:
        taken.add_row(name, *(f"{contest[key][part]:.2f}" for part in ("median", "p95", "slowest")), limit, late)
    yield taken
    if not contest["tracks"]:
        return
    columns = ("questions", "minutes", "limit", "room for")
    tracks = table("these questions in minutes, loading not counted", "track", *columns, "", right=columns)
    for track, row in contest["tracks"].items():
        tracks.add_row(
            track, f"{row['questions']:,}", f"{row['minutes']:.1f}", f"{row['limit_minutes']}",
            f"{row['room_for_questions']:,}", "" if row["fits"] else "too slow",
        )  # fmt: skip
    yield tracks


def remarks(scores: Mapping[str, Any]) -> list[str]:
    """What the numbers of one model do not say."""
    lines = []
    for metric, reason in scores["not_computed"].items():
        names = ", ".join(task["name"] for task in scores["tasks"] if reason in (task["not_computed"] or ""))
        lines.append(f"{metric} is not computed, {names} left out: {reason}")
    if count := scores["facts"]["prompts_shortened"]:
        lines.append(f"{count:,} prompts were too long and lost their middle")
    if count := scores["facts"]["seen_as_another_type"]:
        lines.append(f"{count:,} questions were taken for another task type")
    return lines


def notes(several: Sequence[Mapping[str, Any]]) -> list[str]:
    """The remarks on several models, as lines for the terminal."""
    lines = [f"note      {scores['model']}: {remark}" for scores in several for remark in remarks(scores)]
    return list(dict.fromkeys(lines))
