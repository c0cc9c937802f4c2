"""The plan as a table: what there is to do, and why."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

import click
from rich.table import Table

from recipe.steps.result_names import SWEEP
from recipe.walk.estimates import Estimate, estimates, total
from recipe.walk.graph import Record, Stage, Verdict
from recipe.walk.rows import ALL_AROUND
from recipe.walk.stages import Stages
from spine.atomic import free_gib
from spine.paths import shown
from spine.progress import clock
from spine.terminal import console, table

_GIB = 2**30
_NUMBERS = ("time", "disk", "memory")


def show_plan(stages: Stages, graph: Sequence[Stage], planned: Sequence[tuple[Stage, Verdict]], record: Record) -> None:
    """What `--dry-run` prints."""
    found = estimates(graph, stages.blends, stages.profile.reproduce.seconds, record)
    console().print(_plan_table(planned, found))
    left_out = sorted(set(range(1, ALL_AROUND)) - stages.there)
    if left_out:
        click.echo(f"note      no questions of track {', '.join(map(str, left_out))} in {shown(stages.test)}: left out")
    if any(stage.kind == SWEEP and verdict.reason for stage, verdict in planned):
        click.echo("note      evaluations at the weights that the sweeps find best are added when these are done")
    all_ = total(found[stage.name] for stage, verdict in planned if verdict.reason)
    needed, free = ((all_.disk or 0) + all_.scratch) / _GIB, free_gib(stages.wanted.folder)
    enough = "" if needed < free else "; too little: RECIPE_RUNS=/big/disk puts the runs elsewhere"
    click.echo(
        f"disk      {needed:,.1f} GiB, {all_.scratch / _GIB:,.1f} of it for scratch; {free:,.1f} GiB are free{enough}"
    )


def _plan_table(planned: Sequence[tuple[Stage, Verdict]], found: Mapping[str, Estimate]) -> Table:
    """Every stage: why it would run, how long, how much; in the last line what there is to do, added up."""
    made = table("what would run", "stage", "why", *_NUMBERS, "command", right=_NUMBERS)
    for stage, verdict in planned:
        cells = _cells(found[stage.name])
        style = None if verdict.reason else "dim"
        made.add_row(stage.name, verdict.reason or "done", *cells, shlex.join(stage.command), style=style)
    to_do = [found[stage.name] for stage, verdict in planned if verdict.reason]
    unknown = sum(one.seconds is None for one in to_do)
    made.add_section()
    more = f"and {unknown} of unknown length" if unknown else ""
    made.add_row(f"{len(to_do)} of {len(planned)} stages", "", *_cells(total(to_do)), more)
    return made


def _cells(one: Estimate) -> tuple[str, str, str]:
    return (
        "?" if one.seconds is None else clock(max(one.seconds, 1)) if one.seconds else "-",
        "?" if one.disk is None else f"{one.disk / _GIB:,.2f} GiB",
        "?" if one.memory is None else f"{one.memory / _GIB:,.1f} GiB",
    )
