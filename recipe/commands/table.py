"""``recipe table``: scores side by side, one row per model and one column per track."""

from __future__ import annotations

from pathlib import Path

import click

from inference.scoring.scores import SCORES
from inference.scoring.tables import notes, read_scores, tasks_side_by_side, tracks_table
from recipe.commands.options import examples
from spine.errors import RecipeError
from spine.paths import RUNS, shown
from spine.terminal import console


@click.command(
    "table",
    epilog=examples("recipe table", "recipe table runs/cpu/v8/eval/*", "recipe table A/scores.json B --tasks"),
)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--tasks", "by_task", is_flag=True, help="One row per task, one column per model.")
def command(files: tuple[Path, ...], by_task: bool) -> None:
    """Lay scores side by side. FILES: scores.json, or the folders that hold one; all of the runs' if none is named."""
    several = [read_scores(path) for path in files or _all()]
    console().print(tasks_side_by_side(several) if by_task else tracks_table(several))
    for line in notes(several):
        click.echo(line)


def _all() -> list[Path]:
    """Of every run, and of models that belong to none."""
    found = sorted([*RUNS.glob(f"*/*/eval/*/{SCORES}"), *RUNS.glob(f"eval/*/{SCORES}")])
    if not found:
        raise RecipeError("nothing is scored yet", where=shown(RUNS), way_out="make eval-v8")
    return found
