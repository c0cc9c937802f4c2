"""A synthesis run as ``recipe synth run`` and the demo do it: seed rows, then the endpoint, with progress.

The endpoint may be one of the run's own: vLLM in workers of Ray, or ``recipe serve``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import click

from axolotl_configs.render import Resolved
from dataset_builders.synthesis.budget import Budget
from dataset_builders.synthesis.export import Tell
from dataset_builders.synthesis.pace import Pace
from dataset_builders.synthesis.request import Settings
from dataset_builders.synthesis.run import Progress, synthesize
from dataset_builders.synthesis.seeds import SeedRequest, ensure_seeds
from dataset_builders.synthesis.store import Store
from dataset_builders.synthesis.work import Work, prepare
from dataset_builders.task import ROOM
from inference.answering.answer import longest
from inference.serving.ray import ServedOnRay
from recipe.steps.data import ensure_raw
from recipe.steps.eval import How, gpus_on_ray
from spine.chat import ChatTokenizer
from spine.child_job import started
from spine.children import CPU_MEMORY, end, running
from spine.environments import python
from spine.errors import RecipeError
from spine.hardware import this_machine
from spine.models import is_local, local_folder
from spine.paths import CACHE, ROOT, shown
from spine.progress import Meter, timed
from spine.terminal import say

_LONGEST = 8192  # tokens: what is asked, the answer, and both again where it is sent back
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
    plan: ServedOnRay | None = None

    def synthesize(self, works: Sequence[Work], store: Store, budget: Budget, limit: int | None) -> Progress:
        """Asks, with progress; says how it ended.

        Raises:
            RecipeError: see ``run.synthesize``. What was answered is kept.
        """
        if not any(work.left and work.kept < work.wanted for work in works):
            _tell_end(nothing_to_do := Progress.of(works, budget))
            return nothing_to_do
        if self.plan:
            with endpoint_on_ray(self.plan) as (url, workers):
                there = replace(self, url=url, concurrency=self.concurrency * workers, plan=None)
                return there.synthesize(works, store, budget, limit)
        with Meter("asking", "row") as meter:
            progress = asyncio.run(self._ask(works, store, budget, limit, meter))
        _tell_end(progress)
        return progress

    async def _ask(
        self, works: Sequence[Work], store: Store, budget: Budget, limit: int | None, meter: Meter
    ) -> Progress:
        from dataset_builders.synthesis.endpoint import Endpoint

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
    if not url.startswith(("http://", "https://")):
        raise RecipeError(f"'{url}' is no endpoint", way_out="--endpoint http://localhost:8000/v1")
    # It imports openai, which takes half a second, and reading the store as long: they need not wait for each other.
    threading.Thread(target=import_module, args=("dataset_builders.synthesis.endpoint",), daemon=True).start()
    if not model:
        from dataset_builders.synthesis.endpoint import only_model

        model = only_model(url, os.environ)
    return Asked(url, model, settings, concurrency, timeout)


def run_it(resolved: Resolved, names: Sequence[str], data: Path | None, asked: Asked, store: Store) -> list[Work]:
    """What the datasets ``names`` of a run want, and their seed rows."""
    if not names:
        raise RecipeError(f"{resolved.blend.name} has no dataset that an LLM enhances")
    raw, rows = ensure_raw(data), {portion.name: portion.rows for portion in resolved.portions}
    wanted = [SeedRequest(name, int(rows[name] * ROOM) + 1, raw, resolved.profile.max_rejected) for name in names]
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


def _tell_end(progress: Progress) -> None:
    spent = progress.budget.spent + (" (counted by us)" if progress.estimated else "")
    rejected = sum(progress.reasons.values())
    say(f"synth: {progress.new:,} rows kept of {progress.asked:,} requests, {rejected:,} rejected; {spent}")
    for reason, count in progress.reasons.most_common(8):
        say(f"  rejected {count:,}: {reason}")
    for reason, count in progress.failed.most_common(5):
        say(f"  not answered {count:,}: {reason}")
    if progress.ended:
        say(f"synth: stopped, {progress.ended}; {progress.kept:,} of {progress.wanted:,} rows are there")
    elif progress.kept < progress.wanted:
        say(f"synth: {progress.kept:,} of {progress.wanted:,} rows; there are no more seed rows")


def plan_of(
    resolved: Resolved, model: str, workers: int | None, tensor_parallel: int | None, settings: Settings
) -> ServedOnRay:
    """What is served.

    Raises:
        RecipeError: the serve environment or the model is not there, or it is none to talk to.
    """
    python("serve")
    folder = local_folder(model)
    ChatTokenizer.load(str(folder))
    return ServedOnRay(
        # As answers are stored by it: many a folder has the same name.
        name=shown(folder) if is_local(model) or Path(model).is_dir() else model,
        model=str(folder.absolute()), max_length=longest(str(folder), _LONGEST + settings.reasoning),
        workers=workers or 0, gpus=gpus_on_ray(How(tensor_parallel=tensor_parallel).settings(resolved)),
    )  # fmt: skip


@contextmanager
def endpoint_on_ray(plan: ServedOnRay) -> Iterator[tuple[str, int]]:
    """Its address and the number of workers: from when the first of them is loaded to the end of the block.

    Raises:
        RecipeError: it could not start.
    """
    memory = {} if this_machine().gpu_names else CPU_MEMORY
    with started("serve", "inference.serving.ray", plan, values=memory) as messages:
        room = next(messages)
        with timed(f"loading {plan.name} with vllm on Ray, {room['room']}"):
            port = next(messages)["port"]
        yield f"http://127.0.0.1:{port}/v1", room["workers"]


@contextmanager
def endpoint_here(model: Path) -> Iterator[str]:
    """The address of a ``recipe serve`` of this run's own, from when it is ready to the end of the block.

    Raises:
        Exit: it could not start, and has said why.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [str(Path(sys.executable).with_name("recipe")), "serve", "--model", str(model), "--port", str(port)]
    own = {"ALPHA": "", "MODE": "", "PROFILE": "", "SET": "", "VLLM_API_KEY": ""}  # not what is set for other commands
    with running(command, cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, **own}) as child:
        assert child.stdout
        if not any(line.startswith(b"ready") for line in child.stdout):
            raise click.exceptions.Exit(1)
        yield f"http://127.0.0.1:{port}/v1"
        end(child, signal.SIGTERM)
