"""What this machine has, found without torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """``gpu_memory_gib``: of each NVIDIA GPU, as the driver reports it."""

    gpu_names: tuple[str, ...]
    gpu_memory_gib: tuple[float, ...]
    cores: int
    memory_gib: float

    def __str__(self) -> str:
        cpu = f"{self.cores} cores, {self.memory_gib:.0f} GiB"
        if not self.gpu_names:
            return f"no NVIDIA GPU, {cpu}"
        return f"{len(self.gpu_names)} x {self.gpu_names[0]} {self.gpu_memory_gib[0]:.0f} GiB, {cpu}"


def this_machine() -> Machine:
    """Asks nvidia-smi (0.1 s) and the operating system; honours CUDA_VISIBLE_DEVICES as torch would."""
    names, memory = _gpus()
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Machine(names, memory, len(os.sched_getaffinity(0)), total)


def idle_cores(seconds: float = 0.3) -> int:
    """Cores that nothing has used for a moment, at least 1 (Linux's /proc/stat; elsewhere all).

    Not the load average: that still counts the command that has just ended.
    """
    cores = len(os.sched_getaffinity(0))
    before = _idle_seconds()
    if before is None:
        return cores
    time.sleep(seconds)
    return max(1, min(cores, round(((_idle_seconds() or before) - before) / seconds)))


def _idle_seconds() -> float | None:
    """Of all cores of this process together, since the machine started; waiting for a disk is idle, too."""
    try:
        lines = Path("/proc/stat").read_text().splitlines()
    except OSError:
        return None
    mine = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    rows = (line.split() for line in lines)
    return sum(int(row[4]) + int(row[5]) for row in rows if row[0] in mine) / os.sysconf("SC_CLK_TCK")


def _gpus() -> tuple[tuple[str, ...], tuple[float, ...]]:
    if not shutil.which("nvidia-smi"):
        return (), ()
    query = ["nvidia-smi", "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"]
    found = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    if found.returncode != 0:  # a driver that does not answer is a machine that cannot train
        return (), ()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    wanted = None if visible is None else {part.strip() for part in visible.split(",")}
    rows = [[cell.strip() for cell in line.split(",")] for line in found.stdout.splitlines() if line]
    rows = [row for row in rows if wanted is None or row[0] in wanted or row[1] in wanted]
    return tuple(row[2] for row in rows), tuple(float(row[3]) / 1024 for row in rows)
