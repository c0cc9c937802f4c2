"""Running a stage: what it needs is asked first, then its command runs on the terminal, as if it had been typed."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import click

from axolotl_configs.render import Resolved
from axolotl_configs.schema import Profile
from axolotl_configs.select import require_gpus
from postprocess.awq.export import ENVIRONMENTS
from recipe.walk.estimates import Estimate, estimates
from recipe.walk.graph import Stage
from spine import manifest
from spine.atomic import require_free
from spine.children import die_with_parent, stopped_with_us
from spine.environments import python
from spine.errors import STOPPED, RecipeError
from spine.hardware import this_machine
from spine.paths import ROOT
from spine.progress import clock
from spine.terminal import say

RECIPE = Path(sys.executable).with_name("recipe")
_GRACE_SECONDS = 60.0  # the command's own children have 20


class Walked(Protocol):
    """What is walked. ``blends``: by what stages are ``about``."""

    @property
    def blends(self) -> Mapping[str, Resolved]: ...

    @property
    def profile(self) -> Profile: ...

    def all(self) -> list[Stage]: ...


def preflight(name: str, profile: Profile, *, exports: bool = True, elsewhere: bool = False) -> None:
    """What would fail after hours, asked before anything runs. ``elsewhere``: the GPUs are other machines'.

    Raises:
        RecipeError: a GPU or an environment is missing.
    """
    if not elsewhere:
        require_gpus(this_machine(), name, profile.hardware)
    quantize = (ENVIRONMENTS[profile.quantize.backend], ENVIRONMENTS["gptqmodel"]) if exports else ()
    for environment in ("train", "serve", *quantize):
        python(environment)


def run_stage(stage: Stage, title: str, stages: Walked, lock: int) -> None:
    """Says what is run, and runs it.

    Raises:
        RecipeError: the disk has no room for it, or the command failed, and has said why.
    """
    found = estimates([*stages.all(), stage], stages.blends, stages.profile.reproduce.seconds)[stage.name]
    _require_room(stage, found)
    about = f", about {clock(found.seconds)}" if found.seconds else ""
    click.secho(f"\n{title}{about}", bold=True, err=True)
    say(f"  {shlex.join(stage.command)}")
    run_command([str(RECIPE), *stage.command[1:]], lock, environment_of(stage.command[1]))


def _require_room(stage: Stage, found: Estimate) -> None:
    if not all(map(manifest.read, stage.outputs)):  # else there may be nothing to do, and the command asks for itself
        require_free(stage.outputs[0].parent, (found.disk or 0) + found.scratch, stage.name)


def run_command(command: Sequence[str], lock: int, environment: Mapping[str, str]) -> None:
    """Runs a command on this terminal to its end; it ends with us, and holds our lock until it does.

    Raises:
        RecipeError: it failed, and has said why.
        KeyboardInterrupt: it was stopped.
    """
    child = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, pass_fds=(lock,),
        process_group=0, preexec_fn=die_with_parent,  # Ctrl-C is passed on, once
    )  # fmt: skip
    with stopped_with_us(child, signal.SIGINT, _GRACE_SECONDS):
        code = child.wait()
    if code in (STOPPED, -signal.SIGINT):
        raise KeyboardInterrupt
    if code:
        killed = f"killed by signal {-code}; out of memory?" if code < 0 else f"code {code}"
        raise RecipeError(
            f"the step failed ({killed}); its own message stands above",
            where=shlex.join(["recipe", *command[1:]]),
            way_out="the same command goes on from here once that is mended",
        )


def environment_of(command: str) -> dict[str, str]:
    """Without the variables that the command would read (SET, LIMIT, ...): what is printed is all that is asked."""
    context = click.get_current_context().find_root()
    group = context.command
    found = group.get_command(context, command) if isinstance(group, click.Group) else None
    taken = {parameter.envvar for parameter in found.params} if found else set()
    return {key: value for key, value in os.environ.items() if key not in taken}
