"""``recipe table``: scores side by side, one row per model and one column per track."""

from __future__ import annotations

from pathlib import Path

import click

from inference.scoring.tables import notes, read_scores, tasks_side_by_side, tracks_table
from recipe.commands.options import examples
from spine.terminal import console


@click.command(
    "table",
    epilog=examples("recipe table runs/cpu/v8/eval/*", "recipe table A/scores.json B/scores.json --tasks"),
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--tasks", "by_task", is_flag=True, help="One row per task, one column per model.")
def command(files: tuple[Path, ...], by_task: bool) -> None:
    """Lay scores side by side. FILES: scores.json, or the folders that hold one."""
    several = [read_scores(path) for path in files]
    console().print(tasks_side_by_side(several) if by_task else tracks_table(several))
    for line in notes(several):
        click.echo(line)
