"""Programs of the other environments as child processes: they end with `recipe`, and their failures are explained."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spine.tracebacks import what_failed

_GRACE_SECONDS = 20.0  # for a child asked to stop, before it is killed
# torch gives every large buffer back to the kernel and takes it again zeroed, page by page: 14 steps on two cores took
# 89 s of system time. Kept by malloc and in huge pages, 99 steps took 27 s.
CPU_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
    "THP_MEM_ALLOC_ENABLE": "1",
}


def die_with_parent() -> None:
    """In the child: SIGTERM when `recipe` is killed without a chance to say so (Linux: PR_SET_PDEATHSIG = 1).

    And SIGINT is heard, by which it may be asked to stop: a script's ``make reproduce &`` would leave it deaf.
    """
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def running(
    command: Sequence[str], how: signal.Signals = signal.SIGTERM, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A child that leads a group of its own and ends with us: see ``stopped_with_us``, and ``die_with_parent`` for when
    we are killed. ``options``: of ``subprocess.Popen``."""
    with (
        subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent, **options) as child,
        stopped_with_us(child, how),
    ):
        yield child


@contextmanager
def stopped_with_us(
    child: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM, grace: float = _GRACE_SECONDS
) -> Iterator[None]:
    """Stops ``child``, which leads a group of its own, when the block is interrupted (Ctrl-C, SIGTERM) or fails.

    It is asked by the signal ``how``, and killed ``grace`` seconds later. Not by SIGINT where it is axolotl, which then
    saves what it has and exits as if it had finished.
    """
    asked_to_stop = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except BaseException:
        end(child, how, grace)
        raise
    finally:
        signal.signal(signal.SIGTERM, asked_to_stop)


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def end(child: subprocess.Popen[bytes], how: signal.Signals, grace: float = _GRACE_SECONDS) -> None:
    """Asks ``child``, which leads a group of its own, to stop, and kills it ``grace`` seconds later."""
    for signum in (how, signal.SIGKILL):
        try:
            os.killpg(child.pid, signum)
            child.wait(grace)
            return
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            return


def end_of_log(log: Path, lines: int = 400, begin: int = 0) -> list[str]:
    """The last lines of a child's output, from byte ``begin`` on; a progress bar's redrawings count as lines."""
    with log.open("rb") as file:
        file.seek(begin)
        said = file.read().decode("utf-8", errors="replace")
    return said.replace("\r", "\n").splitlines()[-lines:]


def what_it_said(tail: Sequence[str], code: int) -> str:
    """``ended with code 1`` and what failed, for an error: the exception and its place, else the last lines."""
    failure = what_failed(tail)
    last = [line for line in tail if line.strip() and not line.startswith(" ")][-6:]
    killed = f" (killed by signal {-code}; out of memory?)" if code < 0 else ""
    lines = failure.lines() if failure else last
    return "\n".join([f"ended with code {code}{killed}" + ":" * bool(lines), *(f"  | {line[:300]}" for line in lines)])
