"""Progress of anything over three seconds: a bar with rate and ETA on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

_LINE_EVERY_SECONDS = 15.0


class Meter:
    """A count towards a total that may be learnt late, with a note beside it (the loss, a file's name)."""

    def __init__(self, what: str, unit: str) -> None:
        self.what, self.unit = what, unit
        self._began = time.monotonic()
        self._first = 0
        self._started = self._complete = False
        self._last_line = 0.0
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        if sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
                TextColumn("ETA"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
            )  # fmt: skip

    def update(self, done: int, total: int | None = None, note: str = "") -> None:
        """Shows ``done`` of ``total``; the rate counts from the first call, so that a resume is not flattered."""
        now = time.monotonic()
        if not self._started:
            self._started, self._began, self._first = True, now, done
        advanced, elapsed = done - self._first, now - self._began
        rate = _rate(advanced, elapsed, self.unit)
        if self._bar:
            if self._task is None:
                self._task = self._bar.add_task(self.what, total=total, note=note, rate=rate)
            self._bar.update(self._task, completed=done, total=total, note=note, rate=rate)
        elif now - self._last_line >= _LINE_EVERY_SECONDS or (done == total and not self._complete):
            self._last_line, self._complete = now, done == total
            left = f", ETA {clock(elapsed / advanced * (total - done))}" if advanced and total else ""
            print(
                f"{self.what} {done}/{total or '?'} {self.unit}s  {rate}{left}  {note}",
                file=sys.stderr,
                flush=True,
            )

    def __enter__(self) -> Meter:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()


def clock(seconds: float) -> str:
    """``3725`` as ``1:02:05``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Says what is being done, and how long it took."""
    print(f"{what} ...", file=sys.stderr, flush=True)
    began = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


def _rate(advanced: int, elapsed: float, unit: str) -> str:
    if not advanced or not elapsed:
        return ""
    per_second = advanced / elapsed
    return f"{per_second:.1f} {unit}s/s" if per_second >= 1 else f"{1 / per_second:.1f} s/{unit}"
