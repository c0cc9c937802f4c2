"""A synthesis run as ``recipe synth run`` and the demo do it: seed rows, then the endpoint, with progress."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from axolotl_configs.render import Resolved
from dataset_builders.synthesis.budget import Budget
from dataset_builders.synthesis.endpoint import Endpoint, checked, only_model
from dataset_builders.synthesis.export import Tell
from dataset_builders.synthesis.job import prepare, roomy
from dataset_builders.synthesis.pace import Pace
from dataset_builders.synthesis.plan import Wanted, ensure_seeds
from dataset_builders.synthesis.request import Settings
from dataset_builders.synthesis.run import Progress, Work, synthesize
from dataset_builders.synthesis.store import Store
from dataset_builders.task import ROOM
from inference.serving.ray import Plan
from recipe.steps.data import ensure_raw
from recipe.steps.synth_ray import endpoint_on_ray
from spine.errors import RecipeError
from spine.paths import CACHE
from spine.progress import Meter
from spine.terminal import say

_LOOK_SECONDS = 0.5  # between two updates of the progress


@dataclass(frozen=True)
class Asked:
    """The endpoint and how it is asked. ``plan``: what is served on Ray, where that is the endpoint; it has no ``url``
    then, and ``concurrency`` is that of each worker."""

    url: str
    model: str
    settings: Settings
    concurrency: int
    timeout: float
    plan: Plan | None = None

    def synthesize(self, works: Sequence[Work], store: Store, budget: Budget, limit: int | None) -> Progress:
        """Asks, with progress; says how it ended.

        Raises:
            RecipeError: see ``run.synthesize``. What was answered is kept.
        """
        if not any(work.left and work.kept < work.wanted for work in works):
            _tell_end(found := Progress(sum(work.wanted for work in works), sum(work.kept for work in works), budget))
            return found
        if self.plan:
            with endpoint_on_ray(self.plan) as (url, workers):
                there = replace(self, url=url, concurrency=self.concurrency * workers, plan=None)
                return there.synthesize(works, store, budget, limit)
        with Meter("asking", "row") as meter:
            found = asyncio.run(self._ask(works, store, budget, limit, meter))
        _tell_end(found)
        return found

    async def _ask(
        self, works: Sequence[Work], store: Store, budget: Budget, limit: int | None, meter: Meter
    ) -> Progress:
        pace = Pace(self.concurrency)
        endpoint = Endpoint(self.url, self.model, pace, self.timeout)
        last = 0.0

        def tell(progress: Progress) -> None:
            nonlocal last
            if time.monotonic() - last >= _LOOK_SECONDS or progress.kept == progress.wanted:
                last = time.monotonic()
                rejected = sum(progress.reasons.values())
                note = f"{rejected:,} rejected, {pace.out} of {int(pace.limit)} out, {budget.spent}"
                meter.update(progress.kept, progress.wanted, note)

        try:
            return await synthesize(works, endpoint, store, self.settings, budget, limit, tell)
        finally:
            await endpoint.close()


def asked_for(url: str, model: str | None, settings: Settings, concurrency: int, timeout: float) -> Asked:
    """The endpoint at ``url``; without ``model``, its only one."""
    # openai takes half a second to import, and reading the store as long: they need not wait for each other.
    threading.Thread(target=import_module, args=("dataset_builders.synthesis.wire",), daemon=True).start()
    found = model or only_model(checked(url), os.environ)
    return Asked(checked(url), found, settings, concurrency, timeout)


def run_it(resolved: Resolved, names: Sequence[str], data: Path | None, asked: Asked, store: Store) -> list[Work]:
    """What the datasets ``names`` of a run want, and their seed rows."""
    if not names:
        raise RecipeError(f"{resolved.blend.name} has no dataset that an LLM enhances")
    raw, rows = ensure_raw(data), {portion.name: portion.rows for portion in resolved.portions}
    wanted = [roomy(Wanted(name, rows[name], raw, resolved.profile.max_rejected), ROOM) for name in names]
    with counting("choosing seed rows", "dataset") as tell:
        files = ensure_seeds(wanted, CACHE, tell)
    with judging() as tell:
        return prepare(wanted, files, store, asked.model, asked.settings, tell)


def judging() -> AbstractContextManager[Tell]:
    """Progress of answers that are looked at."""
    return counting("judging", "answer")


@contextmanager
def counting(what: str, unit: str) -> Iterator[Tell]:
    """A meter that is told a name, how much is done, and of how much."""
    with Meter(what, unit) as meter:
        yield lambda name, done, total: meter.update(done, total, name)


def _tell_end(found: Progress) -> None:
    spent = found.budget.spent + (" (counted by us)" if found.estimated else "")
    say(
        f"synth: {found.new:,} rows kept of {found.asked:,} requests, {sum(found.reasons.values()):,} rejected; {spent}"
    )
    for reason, count in found.reasons.most_common(8):
        say(f"  rejected {count:,}: {reason}")
    for reason, count in found.failed.most_common(5):
        say(f"  not answered {count:,}: {reason}")
    if found.ended:
        say(f"synth: stopped, {found.ended}; {found.kept:,} of {found.wanted:,} rows are there")
    elif found.kept < found.wanted:
        say(f"synth: {found.kept:,} of {found.wanted:,} rows; there are no more seed rows")
