"""The plan as a table: what there is to do, and why; and the scores in the end."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from inference.scoring.tables import read_scores, tracks_table
from recipe.steps.result_names import SWEEP
from recipe.walk.estimates import Estimate, estimates, total
from recipe.walk.graph import Stage
from recipe.walk.rows import ALL_AROUND, Row
from recipe.walk.stages import Stages
from spine.atomic import free_gib
from spine.paths import shown
from spine.progress import clock
from spine.terminal import console, table

_GIB = 2**30
_NUMBERS = ("time", "disk", "memory")


def show_plan(stages: Stages, planned: Sequence[tuple[Stage, str]]) -> None:
    """What `--dry-run` prints.

    Args:
        planned: every stage with the reason for which it would run.
    """
    graph = [stage for stage, _ in planned]
    found = estimates(graph, stages.blends, stages.profile.reproduce.seconds)
    console().print(plan_table(planned, found))
    left_out = sorted(set(range(1, ALL_AROUND)) - stages.there)
    if left_out:
        click.echo(f"note      no questions of track {', '.join(map(str, left_out))} in {shown(stages.test)}: left out")
    if any(stage.kind == SWEEP and reason for stage, reason in planned):
        click.echo("note      evaluations at the weights that the sweeps find best are added when these are done")
    show_disk(planned, found, stages.wanted.folder)


def show_disk(planned: Sequence[tuple[Stage, str]], found: Mapping[str, Estimate], folder: Path) -> None:
    """What the stages that would run leave on the disk, beside what is free there."""
    all_ = total(found[stage.name] for stage, reason in planned if reason)
    needed, free = ((all_.disk or 0) + all_.scratch) / _GIB, free_gib(folder)
    enough = "" if needed < free else "; too little: RECIPE_RUNS=/big/disk puts the runs elsewhere"
    click.echo(
        f"disk      {needed:,.1f} GiB, {all_.scratch / _GIB:,.1f} of it for scratch; {free:,.1f} GiB are free{enough}"
    )


def plan_table(planned: Sequence[tuple[Stage, str]], found: Mapping[str, Estimate]) -> Table:
    """Every stage: why it would run, how long, how much; in the last line what there is to do, added up."""
    made = table("what would run", "stage", "why", *_NUMBERS, "command", right=_NUMBERS)
    for stage, reason in planned:
        cells = _cells(found[stage.name])
        style = None if reason else "dim"
        made.add_row(stage.name, reason or "done", *cells, shlex.join(stage.command), style=style)
    to_do = [found[stage.name] for stage, reason in planned if reason]
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


def story_table(stages: Stages) -> Table:
    """The table of the slides: a row for each stage of the recipe, a column for each track; track 5 is the mean."""
    return tracks_table([scores for row in stages.rows if (scores := _row(stages, row))])


def _row(stages: Stages, row: Row) -> dict[str, Any]:
    """The row as if one model had answered it all; empty where no track of it has questions."""
    answered = {track: model for track, model in row.models.items() if track in stages.there or track == ALL_AROUND}
    scores = {track: read_scores(stages.evaluation(model)) for track, model in answered.items()}
    if not scores:
        return {}
    overall = scores.pop(ALL_AROUND, None)
    nothing = {"score": None, "low": None, "high": None, "constant": None}
    some = overall or next(iter(scores.values()))
    return {
        **some,
        "model": row.name,
        "tracks": {str(track): found["tracks"][str(track)] for track, found in scores.items()},
        "overall": overall["overall"] if overall else nothing,
    }
