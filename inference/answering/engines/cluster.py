"""Ray: one of our own on this machine for as long as a run lasts, or the cluster that RAY_ADDRESS names.

Importing this module needs no Ray; ``cluster`` does, which the serve environment alone has. Nothing is sent outside: no
usage statistics, no dashboard; a Ray of our own listens to nobody who does not know its token.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spine.errors import RecipeError
from spine.hardware import this_machine
from spine.paths import RUNS

RAY = "ray"  # as an engine: the usual one, in workers of Ray
ADDRESS = "RAY_ADDRESS"
LOG = RUNS / "ray.log"  # what Ray has to say: many lines about every worker that dies
_SAME_PATHS = "model, adapter and this checkout must have the same paths on every node (docs/cluster.md)"
_REACH_SECONDS = 5.0
_STORE_BYTES = 256 * 2**20  # of the object store of a Ray of our own: what goes through it is text
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
# What workers are given of our variables; secrets have no business among a cluster's settings.
_HANDED_ON = ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "TOKENIZERS_PARALLELISM", "VLLM_CPU_KVCACHE_SPACE")
Node = tuple[int, int]  # GPUs, cores


@dataclass(frozen=True)
class Room:
    """How many workers there are, and what each has: ``gpus`` on one node, or else ``cores``."""

    workers: int
    gpus: int
    cores: int

    @property
    def each(self) -> dict[str, Any]:
        """What Ray is told of a worker."""
        threads = {} if self.gpus else {"OMP_NUM_THREADS": str(self.cores), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        ours = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
        takes = {"num_gpus": self.gpus} if self.gpus else {"num_cpus": self.cores}
        return {**takes, "runtime_env": {"env_vars": {**ours, **threads}}}

    def __str__(self) -> str:
        has = f"{self.gpus} GPU{'s' * (self.gpus > 1)}" if self.gpus else f"{self.cores} core{'s' * (self.cores > 1)}"
        return f"{self.workers} worker{'s' * (self.workers > 1)}, {has} each"


def elsewhere() -> str | None:
    """The address of the cluster to be used; None where Ray is started on this machine."""
    address = os.environ.get(ADDRESS, "")
    return None if address in ("", "local") else address


@contextmanager
def cluster(workers: int, gpus: int | None) -> Iterator[Room]:
    """Ray, and the ``workers`` that there is room for; see ``room``. A Ray of our own ends with the block, in which
    ``sys.stdout`` is Ray's: it goes to ``LOG``.

    Raises:
        RecipeError: the cluster cannot be joined, or has no such room.
    """
    address = elsewhere()
    guarded = {} if address else {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ.update({**_QUIET, **guarded, **os.environ})  # read when Ray is imported
    try:
        import ray
    except ModuleNotFoundError as error:
        raise RecipeError("Ray is not installed", where="the serve environment", way_out="make env-serve") from error
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        # A short path: sockets lie in it, whose names may have 107 letters.
        folder = stack.enter_context(TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True))
        LOG.parent.mkdir(parents=True, exist_ok=True)
        stack.enter_context(redirect_stdout(stack.enter_context(LOG.open("a"))))
        stack.callback(ray.shutdown)
        with _stderr_closed():
            _join(address) if address else _start(folder)
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        yield room([(int(node.get("GPU", 0)), int(node.get("CPU", 0))) for node in nodes], workers, gpus)


def worker_fault(error: Exception, said: Sequence[str] = ()) -> str:
    """In a worker: an error with its node, and what else was ``said`` of it there. Of an exception Ray would make a
    hundred lines."""
    import ray

    what = f"{error}\n  ({_SAME_PATHS})" if isinstance(error, RecipeError) else "\n".join([repr(error), *said])
    return f"a worker on {ray.util.get_node_ip_address()}: {what}"


def room(nodes: Sequence[Node], workers: int, gpus: int | None) -> Room:
    """Shares ``nodes`` out.

    Args:
        workers: 0: as many as their GPUs are enough for; without GPUs, one a node.
        gpus: of each worker; None: all that a node has.

    Raises:
        RecipeError: there is no room for so many.
    """
    most = max(node[0] for node in nodes)
    each = most if gpus is None else gpus
    if each > most:
        raise RecipeError(f"no node of Ray has {each} GPUs, the largest {most}", way_out="a smaller --tensor-parallel")
    if each:
        there, cores = sum(node[0] // each for node in nodes), 1
    else:
        able = [node[1] for node in nodes if node[1]] or [1]
        on_a_node = -(-workers // len(able)) or 1
        cores = min(able) // on_a_node or 1
        there = sum(has // cores for has in able) if workers else len(able)
    if workers > there:
        what = f"{each} GPUs" if each else "a core"
        raise RecipeError(f"there is room for {there} workers with {what} each", way_out=f"--workers {there}")
    return Room(workers or there, each, cores)


@contextmanager
def _stderr_closed() -> Iterator[None]:
    """Ray's core writes there, past all levels of logging, that its level of logging was set."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _start(folder: str) -> None:
    """A Ray on this machine, with its files in ``folder``. It ends when this process does, however that ends."""
    import ray

    ray.init(
        address="local", num_cpus=this_machine().cores, object_store_memory=_STORE_BYTES, include_dashboard=False,
        log_to_driver=False, logging_level=logging.CRITICAL, _temp_dir=folder,
    )  # fmt: skip


def _join(address: str) -> None:
    import ray

    way_out = f"run this on a node of the cluster: {ADDRESS}=HEAD:6379, and RAY_AUTH_MODE=token where it has a token"
    try:
        if address != "auto":  # Ray itself would try for minutes
            host, _, port = address.rpartition(":")
            if "//" in host or not port.isdigit():
                raise ValueError("the address is no HOST:PORT")
            socket.create_connection((host, int(port)), _REACH_SECONDS).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (OSError, ValueError, RuntimeError) as error:
        why = str(error).strip().split("\n")[0]
        raise RecipeError(f"there is no Ray cluster: {why}", where=f"{ADDRESS}={address}", way_out=way_out) from error
