"""The commands that a step of the smoke types: each a child with a log, whose own message is kept when it fails."""

from __future__ import annotations

import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from recipe.walk.run import RECIPE, environment_of
from spine.children import end_of_log, running, what_it_said
from spine.errors import RecipeError
from spine.paths import ROOT

_POLL_SECONDS = 1.0
_NOTE = 70  # characters of a log's last line that are shown


class Commands:
    """Runs commands one after the other.

    Attributes:
        environment: variables that they all get, over this process's own.
        note: is told what a command prints.
        typed: the commands of the step that is at work, as a user would type them.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self.logs, self.environment = logs, environment
        self.note: Callable[[str], None] = lambda note: None
        self.typed: list[str] = []

    def recipe(self, step: str, *words: str, defaults: Mapping[str, str] = MappingProxyType({})) -> None:
        """``recipe WORDS``; ``defaults``: variables where the user has not set them.

        Raises:
            RecipeError: it failed; the message is the command's own.
        """
        environment = {**defaults, **environment_of(words[0])}
        self.run(step, [str(RECIPE), *words], environment, shlex.join(["recipe", *words]))

    def run(
        self, step: str, command: Sequence[str], environment: Mapping[str, str], typed: str,
        patience: float | None = None,
    ) -> list[str]:  # fmt: skip
        """Any program; what it printed, by lines. ``patience``: seconds after which it has failed.

        Raises:
            RecipeError: it failed.
        """
        log, began = self.log(step), time.monotonic()
        self.typed.append(typed)
        with log.open("a", encoding="utf-8") as sink:
            sink.write(f"$ {typed}\n")
        begin = log.stat().st_size
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
        values = {**environment, **self.environment}
        with (
            log.open("ab") as sink_bytes,
            running(command, signal.SIGINT, cwd=ROOT, env=values, stdout=sink_bytes, **streams) as child,
        ):
            while child.returncode is None:
                self.note(f"{step}: {_last_line(log)}")
                if patience and time.monotonic() - began > patience:
                    raise RecipeError(f"has not ended after {patience:.0f} s")
                with suppress(subprocess.TimeoutExpired):
                    child.wait(_POLL_SECONDS)
        said = end_of_log(log, begin=begin)
        if child.returncode:
            raise RecipeError(message(said, child.returncode))
        return said

    def log(self, step: str) -> Path:
        """All that the step's commands have printed."""
        return self.logs / f"{step}.log"


def message(said: Sequence[str], code: int) -> str:
    """Of a command that failed: its ``error: ...``, or else the end of what it printed, by lines."""
    _, found, explained = "\n".join(said).rpartition("error: ")
    return explained.strip() if found else what_it_said(said, code)


def _last_line(log: Path) -> str:
    lines = end_of_log(log, begin=max(0, log.stat().st_size - 2000))
    return next((line.strip()[:_NOTE] for line in reversed(lines) if line.strip()), "")
