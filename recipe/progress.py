"""Progress of anything over three seconds: a bar with rate and ETA on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

_LINE_EVERY_SECONDS = 15.0
_RECENT = 20


class Meter:
    """A count towards a total that may be learnt late, with a note beside it (the loss, a file's name).

    The rate is that of the last steps, from the end of one to the end of the next; updates that do not advance (a
    look at held-out rows) are not counted as work, so that a pause does not spoil the ETA.
    """

    def __init__(self, what: str, unit: str) -> None:
        self.what, self.unit = what, unit
        self._done: int | None = None
        self._seen = time.monotonic()
        self._recent: deque[tuple[int, float]] = deque(maxlen=_RECENT)  # advanced by, seconds
        self._last_line = 0.0
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        if sys.stderr.isatty():
            fields = (TextColumn("{task.fields[rate]}"), TextColumn("{task.fields[note]}"))
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *fields)
            self._bar = Progress(*columns, console=Console(stderr=True))

    def update(self, done: int, total: int | None = None, note: str = "") -> None:
        """Shows ``done`` of ``total``."""
        now = time.monotonic()
        complete = done == total and done != self._done
        if self._done is not None and done > self._done:
            self._recent.append((done - self._done, now - self._seen))
        self._done, self._seen = done, now
        rate = self._rate(total)
        if self._bar:
            if self._task is None:
                self._task = self._bar.add_task(self.what, total=total, note=note, rate=rate)
            self._bar.update(self._task, completed=done, total=total, note=note, rate=rate)
        elif now - self._last_line >= _LINE_EVERY_SECONDS or complete:
            self._last_line = now
            print(f"{self.what} {done}/{total or '?'} {self.unit}s  {rate}  {note}", file=sys.stderr, flush=True)
