"""Whole processes, measured from outside."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from recipe.paths import ROOT


@dataclass(frozen=True)
class Result:
    """Seconds of ours and of a peer, medians; ``met``: whether the aim (in words) was reached."""

    what: str
    ours: float
    peer_name: str
    peer: float
    aim: str
    met: bool

    def cells(self) -> list[str]:
        """A table's row."""
        peer = f"{self.peer:.2f} s  {self.peer_name}"
        ratio = f"{self.ours / self.peer:.3f}" if self.peer else "-"
        return [self.what, f"{self.ours:.2f} s", peer, ratio, self.aim, "met" if self.met else "MISSED"]


@dataclass(frozen=True)
class Cost:
    """Of one process and its children, in seconds."""

    wall: float
    cpu: float


def cost(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Cost:
    """Runs ``command`` in the checkout; a failure is an error, its output is thrown away otherwise."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def alternating(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, Cost]:
    """Median cost of each command over ``rounds``, run in turn so that a busy moment hits all of them."""
    found: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            found[name].append(cost(command))
    return {
        name: Cost(median(one.wall for one in costs), median(one.cpu for one in costs)) for name, costs in found.items()
    }
