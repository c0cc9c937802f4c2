"""``recipe reproduce``."""

from __future__ import annotations

import time
from pathlib import Path

import click

from recipe.commands.options import examples, walk_options, walk_request
from recipe.walk.graph import Stage, plan, walk
from recipe.walk.request import WalkRequest
from recipe.walk.stages import Stages
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
@walk_options
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
    wanted = walk_request(profile, overrides, data, decontaminate, questions, fast)
    if dry_run:
        _show_plan(wanted)
        return
    try:
        stages, count = _walk(wanted)
    except KeyboardInterrupt:
        say("stopped; the same command goes on from here")
        raise
    from recipe.walk.show import story_table

    console().print(story_table(stages))
    done = f"{count} steps ran" if count else "everything is up to date, nothing to do"
    click.echo(f"done      {done}")
    click.echo(f"report    {shown(wanted.report_folder)}/report.html")
    click.echo(f"time      {clock(time.monotonic() - began)}")


def _walk(wanted: WalkRequest) -> tuple[Stages, int]:
    """Runs what is stale; the stages as they are in the end, and how many ran."""
    from recipe.report.collect import whole_walk

    stages, checked = Stages(wanted), False
    with locked(wanted.folder) as lock:

        def make() -> list[Stage]:
            nonlocal stages
            stages = Stages(wanted)
            return whole_walk(stages)

        def run(stage: Stage, title: str) -> None:
            nonlocal checked
            from recipe.walk.run import preflight, run_stage  # not needed where nothing is stale

            if not checked:
                preflight(wanted.profile, stages.profile)
                checked = True
            run_stage(stage, title, stages, lock)

        count = walk(make, run, say)
    return stages, count


def _show_plan(wanted: WalkRequest) -> None:
    from recipe.report.collect import whole_walk
    from recipe.walk.show import show_plan

    stages = Stages(wanted)
    show_plan(stages, plan(whole_walk(stages)))
