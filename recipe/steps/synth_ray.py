"""``recipe synth run --engine ray``: an endpoint of this run's own, answered by vLLM in workers of Ray."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO

import click

from axolotl_configs.render import Resolved
from inference.answering.answer import longest
from inference.serving.ray import Plan
from recipe.steps.eval import How, gpus_on_ray
from spine.chat import ChatTokenizer
from spine.children import CPU_MEMORY, running
from spine.environments import python, variables
from spine.hardware import this_machine
from spine.models import is_local, local_folder
from spine.paths import ROOT, shown
from spine.progress import timed

_LONGEST = 8192  # tokens: what is asked, the answer, and both again where it is sent back


def plan_of(resolved: Resolved, model: str, workers: int | None, tensor_parallel: int | None) -> Plan:
    """What is served.

    Raises:
        RecipeError: the serve environment or the model is not there, or it is none to talk to.
    """
    python("serve")
    folder = local_folder(model)
    ChatTokenizer.load(str(folder))
    return Plan(
        # As answers are stored by it: many a folder has the same name.
        name=shown(folder) if is_local(model) or Path(model).is_dir() else model,
        model=str(folder.absolute()), max_length=longest(str(folder), _LONGEST), workers=workers or 0,
        gpus=gpus_on_ray(How(tensor_parallel=tensor_parallel).settings(resolved)),
    )  # fmt: skip


@contextmanager
def endpoint_on_ray(plan: Plan) -> Iterator[tuple[str, int]]:
    """Its address and the number of workers: from when the first of them is loaded to the end of the block.

    Raises:
        Exit: it could not start, and has said why.
    """
    memory = {} if this_machine().gpu_names else CPU_MEMORY
    environment = {**memory, **variables("serve", offline=True)}
    command = [str(python("serve")), "-m", "inference.serving.ray"]
    with running(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin and child.stdout
        child.stdin.write(json.dumps(asdict(plan)).encode())
        child.stdin.close()
        workers = _line(child.stdout)
        with timed(f"loading {plan.name} with vllm on Ray, {workers}"):
            port = _line(child.stdout)
        try:
            yield f"http://127.0.0.1:{port}/v1", int(workers.split()[0])
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)


def _line(said: IO[bytes]) -> str:
    """The next one; where there is none, the reason stands on stderr."""
    if not (line := said.readline()):
        raise click.exceptions.Exit(1)
    return line.decode().strip()
