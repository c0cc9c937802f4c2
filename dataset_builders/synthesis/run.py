"""Asks about seed rows until each dataset has the rows it wants, and keeps every answer as it comes.

What is stored is never asked again; nothing is remembered here that a kill could take away.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dataset_builders.pools.choice import unpacked
from dataset_builders.synthesis import request
from dataset_builders.synthesis.answers import judge
from dataset_builders.synthesis.budget import Budget
from dataset_builders.synthesis.declare import Unfit
from dataset_builders.synthesis.request import Failed, Said, Settings
from dataset_builders.synthesis.store import AGAIN, KEPT, REJECTED, Record, Store
from dataset_builders.synthesis.work import Work

if TYPE_CHECKING:
    from dataset_builders.synthesis.endpoint import Endpoint

_LOOK_SECONDS = 0.02  # between two looks whether the budget allows one more
Tell = Callable[["Progress"], None]


@dataclass
class Progress:
    """Of the whole run. ``ended``: why it ended before everything was there, if it did."""

    wanted: int
    kept: int
    budget: Budget
    asked: int = 0
    new: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    estimated: bool = False  # whether tokens were counted by us, since the endpoint did not
    ended: str = ""

    @classmethod
    def of(cls, works: Sequence[Work], budget: Budget) -> Progress:
        """Before anything is asked."""
        return cls(sum(work.wanted for work in works), sum(work.kept for work in works), budget)


async def synthesize(
    works: Sequence[Work],
    endpoint: Endpoint,
    store: Store,
    settings: Settings,
    budget: Budget,
    limit: int | None = None,
    tell: Tell = lambda progress: None,
) -> Progress:
    """Asks until all ``works`` have what they want, the seed rows are used up, or ``budget`` or ``limit`` is reached.

    Args:
        limit: requests of this run, at most.

    Raises:
        RecipeError: the endpoint cannot be used, or answers cannot be kept. Those that had come are kept.
    """
    progress = Progress.of(works, budget)
    run = _Run(works, endpoint, store, settings, budget, limit, progress, tell)
    tasks: set[asyncio.Task[None]] = set()
    finished = list[asyncio.Task[None]]()
    one_is_back = asyncio.Event()

    def is_back(task: asyncio.Task[None]) -> None:
        finished.append(task)
        one_is_back.set()

    try:
        while not progress.ended or tasks:
            free = not progress.ended and len(tasks) < endpoint.pace.in_hand
            if row := _next(works, store) if free else None:
                task = asyncio.create_task(run.one(_Asking.of(*row)))
                task.add_done_callback(is_back)
                tasks.add(task)
                await asyncio.sleep(0)  # answers that are back go first
            elif tasks:
                await one_is_back.wait()
            else:
                break
            one_is_back.clear()
            for task in finished:
                tasks.discard(task)
                task.result()
            finished.clear()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    tell(progress)
    return progress


def _next(works: Sequence[Work], store: Store) -> tuple[Work, bytes, bytes] | None:
    """Of the dataset for which least was asked."""
    for work in sorted(works, key=lambda work: work.share):
        if (row := work.next(store)) is not None:
            return (work, *row)
    return None


@dataclass(frozen=True)
class _Asking:
    """A seed row, and the request about it: worded before it may go out, so that nobody waits for words."""

    work: Work
    digest: bytes
    row: bytes
    messages: request.Messages

    @classmethod
    def of(cls, work: Work, digest: bytes, row: bytes) -> _Asking:
        return cls(work, digest, row, request.first(work.synthesis, unpacked(row)))

    def trouble(self, said: str) -> Unfit | None:
        """Why the answer cannot be used, if it cannot."""
        try:
            judge(self.work.synthesis, unpacked(self.row), said)
        except Unfit as unfit:
            return unfit
        return None


@dataclass
class _Run:
    works: Sequence[Work]
    endpoint: Endpoint
    store: Store
    settings: Settings
    budget: Budget
    limit: int | None
    progress: Progress
    tell: Tell

    async def one(self, asking: _Asking) -> None:
        """One seed row, from the request to its place in the store."""
        work = asking.work
        try:
            before = self.store.get(work.head, asking.digest) if work.sent_back else None
            await self._ask(asking, before)
        except Failed as failure:
            self.progress.failed[str(failure)] += 1
        finally:
            work.out -= 1
            self.progress.kept = sum(work.kept for work in self.works)
            self.tell(self.progress)

    async def _ask(self, asking: _Asking, before: Record | None) -> None:
        messages, work = asking.messages, asking.work
        said, trouble = (before.first, asking.trouble(before.first)) if before else ("", None)
        for number in (0, 1):
            if number == 0 and before:
                continue
            if number:
                assert trouble is not None
                messages = request.again(messages, said, trouble.detail)
            answer = await self._request(work, messages)
            if answer is None:
                return
            trouble = asking.trouble(answer.text)
            state = KEPT if trouble is None else AGAIN if number == 0 else REJECTED
            texts = (answer.text, "") if number == 0 else (said, answer.text)
            reason = trouble.reason if trouble else ""
            record = Record(
                work.head.id, asking.digest, state, reason, asking.row, *texts,
                answer.asked, answer.answered, answer.seconds, time.time(),
            )  # fmt: skip
            await asyncio.wrap_future(self.store.put(record))
            self._count(work, state, reason)
            if state != AGAIN:
                return
            said = answer.text

    async def _request(self, work: Work, messages: request.Messages) -> Said | None:
        """``None`` where the budget or the limit does not allow it."""
        progress, most = self.progress, (request.estimated_tokens(messages), self.settings.tokens(work.synthesis))
        if self.limit is not None and progress.asked >= self.limit:
            progress.ended = progress.ended or f"the limit of {self.limit:,} requests is reached"
            return None
        while not self.budget.reserve(*most):  # what is out may come to less than was set aside for it
            if progress.ended or not self.budget.any_out:
                progress.ended = progress.ended or "the budget is used up"
                return None
            await asyncio.sleep(_LOOK_SECONDS)
        progress.asked += 1
        asked = answered = 0
        try:
            form = request.response_format(work.synthesis)
            said = await self.endpoint.ask(messages, form, self.settings.temperature, most[1])
            asked, answered = said.asked, said.answered
            progress.estimated |= not said.counted
        finally:
            self.budget.settle(most, asked, answered)
        return said

    def _count(self, work: Work, state: int, reason: str) -> None:
        if state == KEPT:
            work.kept += 1
            self.progress.new += 1
        elif state == REJECTED:
            work.rejected += 1
            self.progress.reasons[reason] += 1
