"""``recipe new``: task."""

from __future__ import annotations

import click

from recipe.commands.options import examples
from recipe.skeleton.new_task import SOURCES, write_skeleton
from spine.paths import shown
from spine.task_types import TaskType

_EXAMPLES = examples(
    "recipe new task title_language --source amazon_m2 --track 4", "recipe new task unit --type ranking"
)


@click.group("new", epilog=_EXAMPLES)
def command() -> None:
    """Make the skeleton of what you add. What else can be added is one file: docs/extending.md."""


@command.command("task", epilog=_EXAMPLES)
@click.argument("name")
@click.option(
    "--type", "kind", type=click.Choice([kind.value for kind in TaskType]), default=TaskType.MULTIPLE_CHOICE.value,
    show_default=True, help="Of its questions.",
)  # fmt: skip
@click.option("--source", default="esci", show_default=True, help=f"Where its rows come from: {', '.join(SOURCES)}.")
@click.option("--track", type=click.IntRange(1, 4), help="Of the contest.")
def task(name: str, kind: str, source: str, track: int | None) -> None:
    """Write the files of a dataset NAME, and say what to fill in."""
    made = write_skeleton(name, TaskType(kind), source, track)
    for path, what in zip(made, ("what is asked of a row", "three wordings", "its line of FACTS: done"), strict=False):
        click.echo(f"{shown(path):<50}  {what}")
    click.echo("Fill in each FILL IN (docs/extending.md has one that is done), then")
    click.echo(f"  in a blend:  {name}: {{rows: 9000, why: ...}}")
    click.echo(f"  its rows:    make samples-BLEND TASK={name}")
    click.echo("  its tests:   UPDATE_GOLDEN=1 make test-fast")
