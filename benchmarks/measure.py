"""Whole processes, measured from outside, and what is said of them."""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from spine.children import die_with_parent
from spine.paths import EMBEDDED, ROOT, VENVS

RECIPE = str(VENVS / "core" / "bin" / "recipe")
MODEL = str(EMBEDDED)


@dataclass(frozen=True)
class Result:
    """Ours and a peer's, medians of seconds or in ``unit``; ``met``: whether the aim (in words) was reached."""

    what: str
    ours: float
    peer_name: str
    peer: float
    aim: str
    met: bool
    unit: str = " s"

    def cells(self) -> list[str]:
        """A table's row."""
        peer = f"{self.peer:.2f}{self.unit}  {self.peer_name}"
        ratio = f"{self.ours / self.peer:.3f}" if self.peer else "-"
        return [self.what, f"{self.ours:.2f}{self.unit}", peer, ratio, self.aim, "met" if self.met else "MISSED"]


def beside(what: str, ours: float, peer_name: str, peer: float, times: float) -> Result:
    """Ours may take ``times`` as long as the peer's."""
    return Result(what, ours, peer_name, peer, f"< {times:g} times", ours < times * peer)


def within(what: str, seconds: float, most: float, peer_name: str = "", peer: float = 0.0) -> Result:
    """Ours may take ``most`` seconds; a peer's are only told."""
    return Result(what, seconds, peer_name, peer, f"< {most:g} s", seconds < most)


@contextmanager
def workshop() -> Iterator[Path]:
    """A folder on the checkout's disk for as long as the block lasts."""
    with tempfile.TemporaryDirectory(dir=ROOT / "data") as name:
        yield Path(name)


@dataclass(frozen=True)
class Cost:
    """Of one process and its children, in seconds; ``peak_gib`` of memory, theirs together."""

    wall: float
    cpu: float
    peak_gib: float = 0.0


def cost(
    command: Sequence[str], environment: Mapping[str, str] | None = None, *, memory: bool = False, folder: Path = ROOT,
    text: str = "", log: Path | None = None,
) -> Cost:  # fmt: skip
    """Runs ``command`` in ``folder`` with ``text`` on its stdin; a failure is an error, other output goes to ``log``.

    ``memory``: looks twice a second at what the process and its children hold, which costs some CPU itself.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began, peak = time.monotonic(), 0
    everything = {**os.environ, **(environment or {})}
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as given:
        given.write(text)
        given.seek(0)
        process = subprocess.Popen(
            command, cwd=folder, env=everything, stdin=given, stdout=output, stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
        )  # fmt: skip
        while memory and process.poll() is None:
            peak = max(peak, _resident(process.pid))
            time.sleep(0.5)
        process.wait()
        wall = time.monotonic() - began
        if process.returncode:
            output.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{output.read()[-4000:]}")
        if log:
            output.seek(0)
            log.write_text(output.read())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, cpu, peak / 2**30)


def _resident(pid: int) -> int:
    """Bytes that a process and its descendants hold; memory that they share counts once (Linux's Pss)."""
    held = 0
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        held = sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has just ended
        return held
    return held + sum(_resident(int(child)) for child in children)


def middle(costs: Sequence[Cost]) -> Cost:
    """Their medians."""
    return Cost(median(one.wall for one in costs), median(one.cpu for one in costs))


def quickest(costs: Sequence[Cost]) -> Cost:
    """For what the machine disturbs far more than it differs itself."""
    return min(costs, key=lambda one: one.wall)


def in_turn(measured: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, list[Cost]]:
    """All costs over ``rounds``, taken in turn so that a busy moment hits all of them."""
    found: dict[str, list[Cost]] = {name: [] for name in measured}
    for _ in range(rounds):
        for name, measure in measured.items():
            found[name].append(measure())
    return found
