"""How many requests may be out at once: more while that gives more answers a second, fewer when the endpoint says so.

Additive increase, multiplicative decrease: a 429 halves the number, once for all requests that were out at the time.
Latency alone tells little, since a server that batches takes longer and does more; so after every few answers the rate
is compared with that of a smaller number, and where latency grew and the rate did not, the number goes back.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_START = 8
_AHEAD = 4  # requests that are got ready while all places are taken, at least
_LONGEST_NAP = 1.0  # seconds, until it is looked again whether the endpoint still wants to be left alone
_ROUNDS = 2  # answers for each request that may be out, between two looks
_LEAST = 8  # answers between two looks
_GAIN, _SLOWER = 1.03, 1.2  # a rate that counts as higher, a latency that counts as longer
_REST = 20  # looks until it is tried again to go higher


class Pace:
    """``async with pace.place()`` around each request. ``most``: requests out at once, at most."""

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
    def in_hand(self) -> int:
        """Requests to work on at once, so that one is ready whenever a place is free."""
        return int(self.limit) + max(_AHEAD, int(self.limit) // 2)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[int]:
        """A place among those that may be out, in the order of asking; yields the epoch under which it is left."""
        await self._enter()
        try:
            while (left := self._paused_until - time.monotonic()) > 0:
                await asyncio.sleep(min(left, _LONGEST_NAP))
            yield self._epoch
        finally:
            self.out -= 1
            self._wake()

    def stop(self) -> None:
        """Nothing goes out any more."""
        self._paused_until = float("inf")

    def answered(self, seconds: float) -> None:
        """An answer came after so long."""
        self._answers += 1
        self._seconds += seconds
        if self._answers >= max(_LEAST, _ROUNDS * int(self.limit)):
            self._look()

    def refused(self, epoch: int, wait_seconds: float) -> None:
        """A 429, to a request that left under ``epoch``: a number that grows with every cut. Nothing goes out for
        ``wait_seconds``."""
        self._paused_until = max(self._paused_until, time.monotonic() + wait_seconds)
        if epoch == self._epoch:
            self._epoch += 1
            self.limit = self._careful_from = max(1.0, self.limit / 2)
            self._best, self._rest = None, 1
            self._start_over()

    async def _enter(self) -> None:
        if not self._waiting and self.out < int(self.limit):
            self.out += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            self.out -= not turn.cancelled()  # it had been let out
            self._wake()
            raise

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
        while self._waiting and self.out < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self.out += 1  # nobody who comes later gets this place
