"""``recipe table``: scores side by side, one row per model and one column per track."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from recipe.commands.options import examples
from spine.errors import RecipeError
from spine.paths import shown
from spine.terminal import console, table

_TRACKS = ("1", "2", "3", "4")
_FILE = "scores.json"


@click.command(
    "table",
    epilog=examples("recipe table runs/cpu/v8/eval/*", "recipe table A/scores.json B/scores.json --tasks"),
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--tasks", "by_task", is_flag=True, help="One row per task, one column per model.")
def command(files: tuple[Path, ...], by_task: bool) -> None:
    """Lay scores side by side. FILES: scores.json, or the folders that hold one."""
    found = [read_scores(path) for path in files]
    console().print(tasks_side_by_side(found) if by_task else tracks_table(found))
    for line in remarks(found):
        click.echo(line)


def read_scores(path: Path) -> dict[str, Any]:
    """A ``scores.json``, or that of a folder.

    Raises:
        RecipeError: there is none, or it is not one.
    """
    path = path / _FILE if path.is_dir() else path
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not {"tasks", "tracks", "overall", "model"} <= set(found):
            raise ValueError("it has no tasks, tracks and overall")
    except (OSError, ValueError, TypeError) as error:
        raise RecipeError(f"is no scores.json: {error}", where=shown(path), way_out="recipe eval writes one") from error
    return {**found, "path": shown(path)}


def tracks_table(found: Sequence[dict[str, Any]]) -> Table:
    """The table of the slides, with 95% intervals, and what the constant answer scores on the same questions."""
    columns = [f"track {track}" for track in _TRACKS]
    made = table("scores by track", "model", "questions", *columns, "overall", right=("questions", *columns, "overall"))
    for scores in found:
        tracks = [scores["tracks"].get(track) for track in _TRACKS]
        cells = [_interval(track) for track in (*tracks, scores["overall"])]
        made.add_row(scores["model"], f"{scores['facts']['questions']:,}", *cells)
    counts: dict[str, dict[str, Any]] = {}
    for scores in found:  # the same questions have the same baseline
        key = json.dumps([[task["name"], task["questions"], task["constant"]] for task in scores["tasks"]])
        counts.setdefault(key, scores)
    made.add_section()
    for scores in counts.values():
        tracks = [scores["tracks"].get(track) for track in _TRACKS]
        cells = [_number(track["constant"]) if track else "-" for track in (*tracks, scores["overall"])]
        name = "the constant answer" if len(counts) == 1 else f"the constant answer ({scores['path']})"
        made.add_row(name, f"{scores['facts']['questions']:,}", *cells, style="dim")
    return made


def tasks_table(scores: dict[str, Any]) -> Table:
    """One model's scores by task."""
    numbers = ("track", "questions", "score", "95% interval", "constant")
    made = table(scores["model"], "task", "metric", *numbers, "", right=numbers)
    for task in scores["tasks"]:
        interval = f"[{task['low']:.3f}, {task['high']:.3f}]" if task["score"] is not None else "-"
        note = "not computed" if task["score"] is None else ""
        made.add_row(
            task["name"], task["metric"], str(task["track"] or "-"), f"{task['questions']:,}", _number(task["score"]),
            interval, _number(task["constant"]), note,
        )  # fmt: skip
    return made


def tasks_side_by_side(found: Sequence[dict[str, Any]]) -> Table:
    """One row per task that any of them has."""
    names = [scores["model"] for scores in found]
    made = table("scores by task", "task", "metric", *names, "constant", right=(*names, "constant"))
    of_task = [{task["name"]: task for task in scores["tasks"]} for scores in found]
    for name in dict.fromkeys(name for tasks in of_task for name in tasks):
        first = next(tasks[name] for tasks in of_task if name in tasks)
        cells = [_interval(tasks.get(name)) for tasks in of_task]
        made.add_row(name, first["metric"], *cells, _number(first["constant"]))
    return made


def contest_tables(contest: dict[str, Any]) -> Iterator[Table]:
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


def remarks(found: Sequence[dict[str, Any]]) -> list[str]:
    """What the numbers do not say."""
    lines = []
    for scores in found:
        missing = [task for task in scores["tasks"] if task["score"] is None]
        for metric, reason in scores["not_computed"].items():
            names = ", ".join(task["name"] for task in missing if reason in task["not_computed"])
            lines.append(f"note      {scores['model']}: {metric} is not computed, {names} left out: {reason}")
        if count := scores["facts"]["prompts_shortened"]:
            lines.append(f"note      {scores['model']}: {count:,} prompts were too long and lost their middle")
        if count := scores["facts"]["seen_as_another_type"]:
            lines.append(f"note      {scores['model']}: {count:,} questions were taken for another task type")
    return list(dict.fromkeys(lines))


def _interval(score: dict[str, Any] | None) -> str:
    if score is None or score["score"] is None:
        return "-"
    return f"{score['score']:.3f} [{score['low']:.2f}, {score['high']:.2f}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
