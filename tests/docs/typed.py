"""What a docs command comes to: make's own expansion of it, read by the very commands of `recipe`. Nothing is run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click

from recipe.commands import root
from spine.paths import ROOT
from tests.docs.pages import Command

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
EXPORTED = set(re.findall(r"^export (\w+) \?=", MAKEFILE, re.M))
# No environment is made, and the words are `recipe ...` as in the pages.
NO_ENVIRONMENTS = ("CORE=", "TRAIN=", "QUANTIZE=", "AUTOAWQ=", "SERVE=")
# Called by make as a shell with the line to run: it writes down the line and its environment, and runs nothing.
_SHELL = '#!/bin/sh\nfor line; do :; done\n{ printf "%s\\0" "$line"; env -0; printf "\\0"; } >> "$TYPED"\n'


@dataclass(frozen=True)
class Typed:
    """A line that a shell would be given, and the variables that it would have."""

    line: str
    environment: Mapping[str, str]


@cache
def expanded(folder: Path, arguments: tuple[str, ...]) -> tuple[Typed, ...]:
    """The lines that ``make ARGUMENTS`` would run in ``folder``, from the real Makefile.

    Raises:
        subprocess.CalledProcessError: make knows no such target.
    """
    shell, log = folder / "shell", folder / "typed"
    if not shell.exists():
        shell.write_text(_SHELL)
        shell.chmod(0o755)
    log.write_bytes(b"")
    ours = {key: value for key, value in os.environ.items() if key not in {"MAKEFLAGS", "MAKELEVEL", *EXPORTED}}
    words = ["make", "-f", str(ROOT / "Makefile"), *arguments, f"SHELL={shell}", "RECIPE=recipe", *NO_ENVIRONMENTS]
    subprocess.run(words, cwd=folder, env={**ours, "TYPED": str(log)}, check=True, capture_output=True, text=True)
    found = [part.split("\0") for part in log.read_text().split("\0\0") if part]
    return tuple(Typed(line, dict(pair.split("=", 1) for pair in pairs if "=" in pair)) for line, *pairs in found)


def recipe_calls(command: Command, folder: Path) -> list[tuple[list[str], Mapping[str, str]]]:
    """The arguments of every call of `recipe` that a command of a page makes, each with its environment."""
    if command.program == "recipe":
        return [(command.arguments, command.assigned)]
    lines = expanded(folder, tuple(command.arguments))
    calls = [(shlex.split(typed.line)[1:], typed.environment) for typed in lines if typed.line.startswith("recipe ")]
    for word in command.arguments:
        variable, equals, value = word.partition("=")
        if equals:
            _is_heard(variable, value, command, calls, folder)
    return calls


def _is_heard(variable: str, value: str, command: Command, calls: list[Any], folder: Path) -> None:
    """A variable that nothing reads is a mistake of the page."""
    if variable in EXPORTED:
        heard = any(variable in envvars(leaf(words)[0]) for words, _ in calls)
    else:
        words = tuple(command.arguments)
        others = tuple(f"{variable}=" if word == f"{variable}={value}" else word for word in words)
        another = tuple(f"{variable}=another" if word == f"{variable}={value}" else word for word in words)
        lines = [[typed.line for typed in expanded(folder, each)] for each in (words, others, another)]
        heard = not lines[0] == lines[1] == lines[2]
    assert heard, f"{command.page}: `{command}`: nothing reads {variable}"


def leaf(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the first words name, and the words behind them."""
    found: click.Command = root
    while isinstance(found, click.Group):
        name, *words = words
        inner = found.get_command(click.Context(found), name)
        assert inner is not None, f"`recipe` has no command {name!r}"
        found = inner
    return found, words


def envvars(command: click.Command) -> set[str]:
    """The environment variables that a command reads."""
    return {str(parameter.envvar) for parameter in command.params if parameter.envvar}


def parsed(words: list[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """The parameters that the real command reads from the words and variables.

    Raises:
        click.UsageError: it would refuse them.
    """
    command, rest = leaf(words)
    values = {key: value for key, value in environment.items() if key in envvars(command) and value}
    with patch.dict(os.environ, values):
        for name in envvars(command) - values.keys():
            os.environ.pop(name, None)
        return command.make_context(command.name, list(rest), parent=click.Context(root)).params
