"""What this machine has, found without torch."""

from __future__ import annotations

import ctypes
import math
import os
import shutil
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Device:
    """One NVIDIA GPU as its driver reports it.

    Attributes:
        memory_gib: 0 where the driver does not say (GPUs that share the CPU's memory).
        capability: compute capability, 8.0 for an A100; infinite where the driver is too old to say.
        uuid: names it in CUDA_VISIBLE_DEVICES, whatever the order in which CUDA counts.
    """

    name: str
    memory_gib: float
    capability: float = math.inf
    uuid: str = ""


@dataclass(frozen=True)
class Machine:
    """``driver``: NVIDIA's version, "580.65.06"; ``cuda``: the newest CUDA that it runs, where it says so."""

    gpus: tuple[Device, ...]
    cores: int
    memory_gib: float
    driver: str = ""
    cuda: float | None = None

    def __str__(self) -> str:
        kinds = Counter(f"{gpu.name} {gpu.memory_gib:.0f} GiB" for gpu in self.gpus)
        found = " and ".join(f"{count} x {kind}" for kind, count in kinds.items()) or "no NVIDIA GPU"
        return f"{found}, {self.cores} cores, {self.memory_gib:.0f} GiB"

    @property
    def gpu_names(self) -> tuple[str, ...]:
        return tuple(gpu.name for gpu in self.gpus)


def this_machine() -> Machine:
    """Asks nvidia-smi (0.1 s) and the operating system; honours CUDA_VISIBLE_DEVICES as torch would."""
    gpus, driver = _gpus()
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Machine(gpus, len(os.sched_getaffinity(0)), total, driver, _newest_cuda() if gpus else None)


@cache
def bf16_on_cpu() -> bool:
    """Whether this CPU multiplies bf16 matrices faster than fp32 ones: torch 2.13 does so from AVX-512 on.

    With AVX2 alone it falls back to a loop. Two cores of an AMD EPYC, 2026-11-29: 1,024 x 576 by 576 x 1,536 took
    15 ms in fp32, 200 ms in bf16 and 1,500 ms with the second one transposed; a step of the 135M model took 7 s, and
    200 s in bf16. Where the kernel does not say what a CPU can (not Linux on x86-64), it is taken to be able to.
    """
    try:
        text = _CPUINFO.read_text()
    except OSError:
        return True
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), None)
    return flags is None or {"avx512bw", "avx512vl", "avx512dq"} <= set(flags)


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


def waited_seconds() -> float | None:
    """How long this thread has been ready to run while other programs had its core (Linux's schedstat; else None)."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def _idle_seconds() -> float | None:
    """Of all cores of this process together, since the machine started; waiting for a disk is idle, too."""
    try:
        lines = Path("/proc/stat").read_text().splitlines()
    except OSError:
        return None
    mine = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    rows = (line.split() for line in lines)
    return sum(int(row[4]) + int(row[5]) for row in rows if row[0] in mine) / os.sysconf("SC_CLK_TCK")


def _gpus() -> tuple[tuple[Device, ...], str]:
    """The visible GPUs and the driver's version."""
    if not shutil.which("nvidia-smi"):
        return (), ""
    fields = ["index", "uuid", "name", "memory.total", "driver_version"]
    # A driver of before 2021 does not know compute_cap, and refuses the whole question for it.
    rows = _ask([*fields, "compute_cap"]) or _ask(fields)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    wanted = None if visible is None else [part.strip() for part in visible.split(",") if part.strip()]
    rows = [row for row in rows if wanted is None or row[0] in wanted or row[1].startswith(tuple(wanted))]
    found = [Device(row[2], _number(row[3], 0) / 1024, _number("".join(row[5:]), math.inf), row[1]) for row in rows]
    return tuple(found), rows[0][4] if rows else ""


def _ask(fields: list[str]) -> list[list[str]]:
    """nvidia-smi's answer, one row a GPU; empty if it has none: a driver that does not answer cannot train either."""
    query = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    found = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    rows = [[cell.strip() for cell in line.split(",")] for line in found.stdout.splitlines()]
    return [row for row in rows if len(row) == len(fields)] if found.returncode == 0 else []


def _number(cell: str, otherwise: float) -> float:
    try:
        return float(cell)
    except ValueError:  # "[N/A]"
        return otherwise


def _newest_cuda() -> float | None:
    """That the driver's library runs, 13.0 for instance: NVIDIA's cuda-compat packages bring a newer one."""
    version = ctypes.c_int()
    try:
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))  # of 1000: 13000, 12040
    except (OSError, AttributeError):
        return None
    return version.value // 1000 + version.value % 1000 // 10 / 10 if version.value else None
