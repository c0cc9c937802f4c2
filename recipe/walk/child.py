"""A stage's command as a process on the user's terminal."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from recipe.commands import root
from spine.children import die_with_parent, stopped_with_us
from spine.errors import RecipeError
from spine.paths import ROOT

RECIPE = Path(sys.executable).with_name("recipe")
_GRACE_SECONDS = 60.0  # the command's own children have 20


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
    if code in (130, -signal.SIGINT):
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
    found = root.get_command(click.Context(root), command)
    taken = {parameter.envvar for parameter in found.params} if found else set()
    return {key: value for key, value in os.environ.items() if key not in taken}
