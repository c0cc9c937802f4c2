"""``recipe reproduce``."""

from __future__ import annotations

import time
from pathlib import Path

import click

from recipe.commands.options import examples
from recipe.walk.graph import RECORD, Record, Stage, plan, walk
from recipe.walk.request import wanted as asked
from recipe.walk.request import wanted_options
from recipe.walk.stages import Stages
from recipe.walk.wanted import Wanted
from spine.lock import locked
from spine.paths import shown
from spine.progress import clock
from spine.terminal import console, say


@click.command(
    "reproduce",
    epilog=examples(
        "recipe reproduce --dry-run",
        "recipe reproduce",
        "recipe reproduce -p 8xa100 --data /published/files --questions development.json",
        "recipe reproduce --fast --set rows=45",
    ),
)
@wanted_options
@click.option("-n", "--dry-run", is_flag=True, help="Show what would run and why, with time, disk and memory.")
def command(
    profile: str | None, overrides: str, data: Path | None, decontaminate: tuple[Path, ...], questions: Path | None,
    fast: bool, dry_run: bool,
) -> None:  # fmt: skip
    """Walk the whole recipe: data, two rounds of training, wise-ft sweeps, merge, pad, AWQ, every stage on every track.

    What is done and up to date is skipped; a changed blend runs again what depends on it. Stopped or killed at any
    time, the same command goes on. Each step is a command of its own, printed before it runs.
    """
    began = time.monotonic()
    wanted = asked(profile, overrides, data, decontaminate, questions, fast)
    if dry_run:
        _show_plan(wanted)
        return
    try:
        stages, count = _walk(wanted)
    except KeyboardInterrupt:
        say("stopped; the same command goes on from here")
        raise
    from recipe.walk.results import story_table

    console().print(story_table(stages))
    done = f"{count} steps ran" if count else "everything is up to date, nothing to do"
    click.echo(f"done      {done}  ({len(stages.all())} steps: {shown(wanted.folder)}/{RECORD})")
    click.echo(f"report    {shown(wanted.report_folder)}/report.html")
    click.echo(f"time      {clock(time.monotonic() - began)}")


def _walk(wanted: Wanted) -> tuple[Stages, int]:
    """Runs what is stale; the stages as they are in the end, and how many ran."""
    stages = Stages(wanted)
    with locked(wanted.folder) as lock:
        record = Record(wanted.folder / RECORD)
        checked = False

        def make() -> list[Stage]:
            nonlocal stages
            stages = Stages(wanted)
            return stages.all()

        def run(stage: Stage, title: str) -> None:
            nonlocal checked
            from recipe.walk.run import preflight, run_stage  # not needed where nothing is stale

            if not checked:
                preflight(stages)
                checked = True
            run_stage(stage, title, stages, record, lock)

        count = walk(make, record, run, say)
    return stages, count


def _show_plan(wanted: Wanted) -> None:
    from recipe.walk.show import show_plan

    stages, record = Stages(wanted), Record(wanted.folder / RECORD, keep=False)
    graph = stages.all()
    show_plan(stages, graph, plan(graph, record, say), record)
