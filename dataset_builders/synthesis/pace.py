"""How many requests may be out at once: more while that gives more answers a second, fewer when the endpoint says so.

Additive increase, multiplicative decrease: a 429 halves the number, once for all requests that were out at the time.
Latency alone tells little, since a server that batches takes longer and does more; so after every few answers the rate
is compared with that of a smaller number, and where latency grew and the rate did not, the number goes back.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

_START = 8
_ROUNDS = 2  # answers for each request that may be out, between two looks
_LEAST = 8  # answers between two looks
_GAIN, _SLOWER = 1.03, 1.2  # a rate that counts as higher, a latency that counts as longer
_REST = 20  # looks until it is tried again to go higher


class Pace:
    """``async with pace:`` around each request. ``most``: requests out at once, at most."""

    def __init__(self, most: int, start: int = _START) -> None:
        self.most, self.limit = most, float(min(most, start))
        self.out = 0
        self._epoch = 0  # of the last cut
        self._careful_from = float("inf")  # half of what was refused last: above it, one more at a time
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._paused_until = 0.0
        self._began, self._answers, self._seconds = time.monotonic(), 0, 0.0
        self._best: tuple[float, float, float] | None = None  # limit, rate, latency
        self._rest = 0

    @property
    def epoch(self) -> int:
        """Grows with every cut: a request remembers under which one it left."""
        return self._epoch

    async def enter(self) -> None:
        """Waits until one more may go out."""
        while self.out >= int(self.limit):
            place = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            await place
        self.out += 1

    def leave(self) -> None:
        """One is back."""
        self.out -= 1
        self._wake()

    async def unpaused(self) -> None:
        """Waits while the endpoint wants to be left alone."""
        while (left := self._paused_until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 1.0))

    def answered(self, seconds: float) -> None:
        """An answer came after so long."""
        self._answers += 1
        self._seconds += seconds
        if self._answers >= max(_LEAST, _ROUNDS * int(self.limit)):
            self._look()

    def refused(self, epoch: int, wait_seconds: float) -> None:
        """A 429, to a request that left under ``epoch``; nothing goes out for ``wait_seconds``."""
        self._paused_until = max(self._paused_until, time.monotonic() + wait_seconds)
        if epoch == self._epoch:
            self._epoch += 1
            self.limit = self._careful_from = max(1.0, self.limit / 2)
            self._best, self._rest = None, 1
            self._start_over()

    def _look(self) -> None:
        now = time.monotonic()
        rate, latency = self._answers / (now - self._began), self._seconds / self._answers
        before = self._best
        if before is None or rate > _GAIN * before[1] or (latency <= _SLOWER * before[2] and self.limit >= before[0]):
            self._best = (self.limit, max(rate, before[1] if before else 0.0), latency)
            if self._rest:
                self._rest -= 1
            else:
                step = 1.0 if self.limit >= self._careful_from else max(1.0, self.limit / 4)
                self.limit = min(float(self.most), self.limit + step)
        elif self.limit > before[0]:
            self.limit, self._rest = before[0], _REST
        elif self._rest:
            self._rest -= 1
        else:  # the endpoint has changed: what was measured long ago is forgotten
            self._best = (self.limit, rate, latency)
        self._start_over()
        self._wake()

    def _start_over(self) -> None:
        self._began, self._answers, self._seconds = time.monotonic(), 0, 0.0

    def _wake(self) -> None:
        free = int(self.limit) - self.out
        while self._waiting and free > 0:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                free -= 1


class Slot:
    """One request's place among those that may be out, entered already; given back while its answer is looked at."""

    def __init__(self, pace: Pace) -> None:
        self._pace, self._held = pace, True

    async def take(self) -> None:
        if not self._held:
            await self._pace.enter()
            self._held = True

    def free(self) -> None:
        if self._held:
            self._held = False
            self._pace.leave()
