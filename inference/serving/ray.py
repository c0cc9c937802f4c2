"""An OpenAI-compatible endpoint on this machine, answered by vLLM in workers of Ray, here or on a cluster.

    python -m inference.serving.ray

(see ``spine.child_job``), told what is to be served; says what ``workers`` there are, and when the first is ready, its
``port``. A worker is vLLM's own app, as `recipe serve` runs it, without a socket: only workers of Ray import vLLM here.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from inference.answering.engines.cluster import LOG, Room, cluster, worker_fault
from inference.answering.rules import Mode
from inference.serving.command import Serving
from inference.serving.gate import Message, Receive, Send, whole_body
from spine import child_job
from spine.child_job import Teller
from spine.children import end_of_log
from spine.errors import RecipeError
from spine.mixture import BASE
from spine.models import model_files
from spine.paths import shown

_DEATHS = 3  # of a worker, after which it is not started again; over a request, after which it is not asked again
_DEADLY = b'{"error": {"message": "workers die over this request", "type": "BadRequestError", "code": 400}}'
_OUT = 4096  # requests at a worker, at most; vLLM itself decides how many it computes at once
_CLOSING_SECONDS = 1
_LINES = 6  # of what vLLM wrote into the worker's log: its process says why, its exception does not


class Response(NamedTuple):
    """An HTTP response in parts."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Served:
    """An actor of Ray. What it answers to a request is what it would answer over HTTP."""

    def __init__(self, serving: Serving) -> None:
        self._serving, self._stack, self._lock = serving, AsyncExitStack(), asyncio.Lock()
        self._engine: Any = None
        self._client: Any = None

    async def load(self) -> str:
        """Loads the model, once; says why it could not."""
        async with self._lock:
            try:
                if self._client is None:
                    await self._load()
            except Exception as error:
                return worker_fault(error, _said())
        return ""

    async def ask(self, method: str, path: str, body: bytes) -> Response:
        """One request. A worker whose engine is dead dies too, so that Ray starts another."""
        if fault := await self.load():  # one that died while nobody asked has to load again
            raise RuntimeError(fault)
        found = await self._client.request(method, path, content=body, headers={"content-type": "application/json"})
        if self._engine.errored:
            os._exit(1)
        return Response(found.status_code, {"content-type": found.headers["content-type"]}, found.content)

    async def _load(self) -> None:
        model_files(str(self._serving.model), ["config.json"])  # vLLM would take a folder that is not there for a name
        os.environ.update({**self._serving.variables, **os.environ})  # before vLLM is imported
        os.environ.pop("VLLM_API_KEY", None)  # of a server that listens; nobody but Ray can ask here
        from httpx import ASGITransport, AsyncClient
        from vllm.entrypoints.launchers.cli_args import make_arg_parser
        from vllm.entrypoints.openai.api_server import build_app, build_async_engine_client, init_app_state
        from vllm.utils.argparse_utils import FlexibleArgumentParser

        arguments = make_arg_parser(FlexibleArgumentParser()).parse_args(self._serving.arguments(None)[2:])
        engine = await self._stack.enter_async_context(build_async_engine_client(arguments))
        tasks = await engine.get_supported_tasks()
        app = build_app(arguments, tasks, engine.model_config)
        await init_app_state(engine, app.state, arguments, tasks)
        transport = ASGITransport(app, raise_app_exceptions=False)
        self._client = AsyncClient(transport=transport, base_url="http://worker", timeout=None)
        self._engine = engine


def _said() -> list[str]:
    """What vLLM wrote into the worker's log."""
    said = [line for line in end_of_log(Path("/proc/self/fd/2").resolve()) if "Error" in line]
    return [f"  | {line[:300]}" for line in said[-_LINES:]]


@dataclass(frozen=True, kw_only=True)
class ServedOnRay:
    """What is served, and by how many workers; see ``inference.answering.engines.cluster.room``."""

    name: str
    model: str
    max_length: int
    workers: int
    gpus: int | None

    def serving(self, room: Room) -> Serving:
        """One worker's."""
        return Serving(
            name=self.name, model=Path(self.model), mixture=BASE, mode=Mode.EXACT, max_length=self.max_length,
            dtype="auto", gpus=room.gpus, host="127.0.0.1", port=0,
        )  # fmt: skip


@dataclass(eq=False)
class Loaded:
    """A worker from when it is loaded until it dies; ``out``: requests that it has."""

    actor: Any
    out: int = 0


@dataclass
class Workers:
    """Requests go to the worker that has the fewest; those of one that died go to another.

    Attributes:
        actors: of ``Served``.
        fault: why nothing can be answered any more.
    """

    actors: list[Any]
    fault: str = ""
    _loaded: list[Loaded] = field(default_factory=list)
    _loading: set[asyncio.Task[None]] = field(default_factory=set)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        """Until the first is loaded; the others join when they are.

        Raises:
            RecipeError: one cannot be.
        """
        for actor in self.actors:
            self._join(actor)
        await self._least_busy()

    async def ask(self, method: str, path: str, body: bytes) -> Response:
        """One request, by whichever worker; one over which several died is refused.

        Raises:
            RecipeError: there is none any more.
        """
        import ray
        from ray.exceptions import RayActorError

        for _ in range(_DEATHS):
            worker = await self._least_busy()
            worker.out += 1
            reference = worker.actor.ask.remote(method, path, body)
            try:
                return Response(*await reference)
            except RayActorError:
                if worker in self._loaded:  # the first to notice
                    self._loaded.remove(worker)
                    print(f"a worker died; others take its requests ({shown(LOG)})", file=sys.stderr, flush=True)
                    self._join(worker.actor)
            except asyncio.CancelledError:  # whoever asked has gone
                ray.cancel(reference)
                raise
            finally:
                worker.out -= 1
        return Response(400, {"content-type": "application/json"}, _DEADLY)

    async def _least_busy(self) -> Loaded:
        while not self._loaded and not self.fault:
            self._changed.clear()
            await self._changed.wait()
        if self.fault:
            raise RecipeError(self.fault)
        return min(self._loaded, key=lambda worker: worker.out)

    def _join(self, actor: Any) -> None:
        task = asyncio.create_task(self._load(actor))
        self._loading.add(task)
        task.add_done_callback(self._loading.discard)

    async def _load(self, actor: Any) -> None:
        from ray.exceptions import RayActorError

        try:
            if fault := await actor.load.options(max_task_retries=-1).remote():
                self.fault = self.fault or fault
            else:
                self._loaded.append(Loaded(actor))
        except RayActorError as error:  # for good
            print(f"a worker died, and again when started {_DEATHS} times more", file=sys.stderr, flush=True)
            self.actors.remove(actor)
            if not self.actors:
                self.fault = f"all workers of Ray died, {_DEATHS + 1} times each: {str(error).splitlines()[-1]}"
        self._changed.set()


@dataclass(frozen=True)
class Gate:
    """The ASGI app: passes requests on as they are. A client that goes away has its request cancelled."""

    workers: Workers
    ended: Callable[[], None]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if (body := await whole_body(receive)) is None:
            return
        asked = asyncio.ensure_future(self.workers.ask(scope["method"], scope["path"], body))
        gone = asyncio.ensure_future(receive())
        await asyncio.wait({asked, gone}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if not asked.done():
            asked.cancel()
            return
        try:
            found = asked.result()
        except RecipeError:
            self.ended()
            raise
        headers = [(name.encode(), value.encode()) for name, value in found.headers.items()]
        await send({"type": "http.response.start", "status": found.status, "headers": headers})
        await send({"type": "http.response.body", "body": found.content})


def serve(plan: ServedOnRay, tell: Teller) -> None:
    """Serves until it is ended.

    Raises:
        RecipeError: there is no room for the workers, or none of them can answer.
    """
    with cluster(plan.workers, plan.gpus) as room:
        tell.say({"workers": room.workers, "room": str(room)})
        asyncio.run(_serve(plan, room, tell))


async def _serve(plan: ServedOnRay, room: Room, tell: Teller) -> None:
    import ray
    from uvicorn import Config, Server

    options = {**room.each, "max_restarts": _DEATHS, "max_concurrency": _OUT}
    made = [ray.remote(Served).options(**options).remote(plan.serving(room)) for _ in range(room.workers)]
    workers = Workers(made)
    await workers.start()

    def end() -> None:
        server.should_exit = True

    gate = Gate(workers, end)
    server = Server(
        Config(gate, lifespan="off", log_level="critical", timeout_graceful_shutdown=_CLOSING_SECONDS, access_log=False)
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        tell.say({"port": listening.getsockname()[1]})
        await server.serve(sockets=[listening])
    if workers.fault:
        raise RecipeError(workers.fault)


if __name__ == "__main__":
    from inference.serving import ray as by_name  # under which Ray's workers import what they are given

    child_job.serve(lambda plan, tell: by_name.serve(by_name.ServedOnRay(**plan), tell))
