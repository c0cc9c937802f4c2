"""Commands of a trial in workers of Ray, several at a time, each as if it had been typed on its worker's node.

``together`` is called by `recipe`; the rest runs in the serve environment, which alone has Ray. Every node has this
checkout, its environments and ``runs/`` at the same paths (docs/cluster.md).
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.answering.engines.cluster import cluster
from spine import child_job
from spine.children import end_of_log, running, what_it_said
from spine.environments import python
from spine.errors import RecipeError
from spine.paths import ROOT, shown
from spine.progress import Meter

_AGAIN = 2  # where a worker or its node dies: a training goes on from its last checkpoint


@dataclass(frozen=True)
class Command:
    """``words``: as typed, ``recipe`` first; ``log`` gets what it says; ``without``: variables that it does not see."""

    words: tuple[str, ...]
    log: Path
    without: tuple[str, ...] = ()


def together(commands: Sequence[Command], workers: int, gpus: int) -> None:
    """Runs all of them to their ends, as many at a time as there are workers; those that are done stay done.

    Args:
        workers: 0: as many as the cluster's GPUs are enough for; without GPUs, one a node.
        gpus: of each command.

    Raises:
        RecipeError: one of them failed, or there is no room for the workers.
        KeyboardInterrupt: they were stopped.
    """
    job = {"commands": commands, "workers": workers, "gpus": gpus, "recipe": python("core").with_name("recipe")}
    with Meter("running", "command") as meter:
        child_job.run(
            "serve", __name__, job, lambda what, done, total: meter.update(done, total, what), quiet=True,
            stop=signal.SIGINT,
        )  # fmt: skip


def _work(job: Mapping[str, Any], tell: child_job.Teller) -> None:
    commands = [Command(tuple(one["words"]), Path(one["log"]), tuple(one["without"])) for one in job["commands"]]
    with cluster(min(job["workers"], len(commands)), job["gpus"]) as room:
        import ray
        from ray.exceptions import RayError

        typed = ray.remote(max_retries=_AGAIN, **room.each)(_typed)
        left = {typed.remote(command, job["recipe"]): command for command in commands}
        tell(str(room), 0, len(commands))
        while left:
            (ready,), _ = ray.wait([*left])
            command = left.pop(ready)
            try:
                node, failure = ray.get(ready)
            except RayError as error:
                node, failure = "a node", f"its worker died, and {_AGAIN} times again: {str(error).splitlines()[-1]}"
            if failure:
                raise RecipeError(
                    f"{shlex.join(command.words)}, on {node}: {failure}",
                    where=shown(command.log),
                    way_out="the same command goes on from here once that is mended",
                )
            tell(f"{' '.join(command.words[1:3])} on {node}", len(commands) - len(left), len(commands))


def _typed(command: Command, recipe: str) -> tuple[str, str]:
    """In a worker: the node, and what went wrong, if anything did."""
    import ray

    command.log.parent.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name not in command.without}
    with (
        command.log.open("ab") as log,
        running(
            [recipe, *command.words[1:]], signal.SIGINT, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT,
        ) as child,
    ):  # fmt: skip
        code = child.wait()
    node = ray.util.get_node_ip_address()
    return node, what_it_said(end_of_log(command.log), code) if code else ""


if __name__ == "__main__":
    child_job.serve(_work)
