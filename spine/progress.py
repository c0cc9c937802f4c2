"""Progress of anything over three seconds: a bar with rate and ETA on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

_LINE_EVERY_SECONDS = 15.0
_WINDOW_SECONDS = 30.0
_PATIENT_SECONDS = 2.0


class Meter:
    """A count towards a total that may be learnt late, with a note beside it (the loss, a file's name).

    The rate is that of the last half minute of work at least, in whole steps from the end of one to the end of the
    next; updates that do not advance (a look at held-out rows) are not counted as work, so that a pause does not spoil
    the ETA.
    """

    def __init__(self, what: str, unit: str) -> None:
        self.what, self.unit = what, unit
        self._units = unit if unit.isupper() else f"{unit}s"  # "MB" has no plural
        self._done: int | None = None
        self._total: int | None = None
        self._seen = time.monotonic()
        self._recent: deque[tuple[int, float]] = deque()  # advanced by, seconds
        self._last_line = 0.0
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        if sys.stderr.isatty():
            fields = (TextColumn("{task.fields[rate]}"), TextColumn("{task.fields[note]}"))
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *fields)
            self._bar = Progress(*columns, console=Console(stderr=True))

    def note(self, note: str) -> None:
        """Shows another note; the work goes on, so the time counts towards the next step."""
        if self._done is not None:
            self._show(self._done, self._total, note)

    def advance(self, done: int, total: int, note: str) -> None:
        """Shows another note; the time counts as work until ``done`` has grown."""
        if done == self._done:
            self.note(note)
        else:
            self.update(done, total, note)

    def update(self, done: int, total: int | None = None, note: str = "") -> None:
        """Shows ``done`` of ``total``."""
        now = time.monotonic()
        if self._done is not None and done > self._done:
            self._count(done - self._done, now - self._seen)
        complete = done == total and done != self._done
        self._done, self._total, self._seen = done, total, now
        self._show(done, total, note, complete)

    def _count(self, advanced: int, seconds: float) -> None:
        if self._recent and self._recent[-1][1] < _WINDOW_SECONDS / 60:  # of many small ones a few are kept
            last = self._recent.pop()
            advanced, seconds = advanced + last[0], seconds + last[1]
        self._recent.append((advanced, seconds))
        while sum(took for _, took in self._recent) - self._recent[0][1] >= _WINDOW_SECONDS:
            self._recent.popleft()

    def _show(self, done: int, total: int | None, note: str, complete: bool = False) -> None:
        now, rate = time.monotonic(), self._rate(total)
        if self._bar:
            if self._task is None:
                self._task = self._bar.add_task(self.what, total=total, note=note, rate=rate)
            self._bar.update(self._task, completed=done, total=total, note=note, rate=rate)
        elif now - self._last_line >= _LINE_EVERY_SECONDS or complete:
            self._last_line = now
            print(f"{self.what} {done}/{total or '?'} {self._units}  {rate}  {note}", file=sys.stderr, flush=True)

    def _rate(self, total: int | None) -> str:
        advanced, seconds = (sum(column) for column in zip(*self._recent, strict=True)) if self._recent else (0, 0.0)
        if not advanced or not seconds:
            return ""
        each = seconds / advanced
        speed = f"{each:.1f} s/{self.unit}" if each >= 1 else f"{1 / each:,.1f} {self._units}/s"
        return f"{speed}, ETA {clock(each * (total - (self._done or 0)))}" if total else speed

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
def waiting(what: str) -> Iterator[None]:
    """Says that something is waited for, after two seconds; on a terminal at once, and for how long."""
    if sys.stderr.isatty():
        columns = (TextColumn(what), SpinnerColumn("simpleDots"), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            bar.add_task(what, total=None)
            yield
        return
    timer = threading.Timer(_PATIENT_SECONDS, print, (f"{what} ...",), {"file": sys.stderr, "flush": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Says what is being done, and how long it took."""
    print(f"{what} ...", file=sys.stderr, flush=True)
    began = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
