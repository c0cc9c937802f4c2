"""Running a stage: what it needs is asked first, then its command runs as if it had been typed."""

from __future__ import annotations

import shlex

import click

from axolotl_configs.select import require_gpus
from postprocess.awq.export import ENVIRONMENTS
from recipe.walk.child import RECIPE, environment_of, run_command
from recipe.walk.estimates import Estimate, estimates
from recipe.walk.graph import Record, Stage
from recipe.walk.stages import Stages
from spine import manifest
from spine.atomic import require_free
from spine.environments import python
from spine.hardware import this_machine
from spine.progress import clock
from spine.terminal import say


def preflight(stages: Stages) -> None:
    """What would fail after hours, asked before anything runs.

    Raises:
        RecipeError: a GPU or an environment is missing.
    """
    profile = stages.profile
    require_gpus(this_machine(), stages.wanted.profile, profile.hardware)
    for name in ("train", "serve", ENVIRONMENTS[profile.quantize.backend], ENVIRONMENTS["gptqmodel"]):
        python(name)


def run_stage(stage: Stage, title: str, stages: Stages, record: Record, lock: int) -> None:
    """Says what is run, and runs it.

    Raises:
        RecipeError: the disk has no room for it, or the command failed, and has said why.
    """
    found = estimates(stages.all(), stages.blends, stages.profile.reproduce.seconds, record)[stage.name]
    _require_room(stage, found)
    about = f", about {clock(found.seconds)}" if found.seconds else ""
    click.secho(f"\n{title}{about}", bold=True, err=True)
    say(f"  {shlex.join(stage.command)}")
    run_command([str(RECIPE), *stage.command[1:]], lock, environment_of(stage.command[1]))


def _require_room(stage: Stage, found: Estimate) -> None:
    if not all(map(manifest.read, stage.outputs)):  # else there may be nothing to do, and the command asks for itself
        require_free(stage.outputs[0].parent, (found.disk or 0) + found.scratch, stage.name)
