"""One of several servers that Ray places: vLLM's own app, as `recipe serve` runs it, without a socket.

What it answers to a request is what it would answer over HTTP. Only workers of Ray import vLLM here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

from inference.answering.engines.cluster import SAME_PATHS
from inference.serving.command import Serving
from spine.children import end_of_log
from spine.errors import RecipeError
from spine.models import model_files

_LINES = 6  # of what vLLM wrote into the worker's log: its process says why, its exception does not


class Response(NamedTuple):
    """An HTTP response in parts."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Served:
    """An actor of Ray."""

    def __init__(self, serving: Serving) -> None:
        self._serving, self._stack, self._lock = serving, AsyncExitStack(), asyncio.Lock()
        self._engine: Any = None
        self._client: Any = None

    async def load(self) -> str:
        """Loads the model, once; says why it could not."""
        import ray

        async with self._lock:
            try:
                if self._client is None:
                    await self._load()
            except Exception as error:
                return f"a worker on {ray.util.get_node_ip_address()}: {_explained(error)}"
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


def _explained(error: Exception) -> str:
    if isinstance(error, RecipeError):
        return f"{error}\n  ({SAME_PATHS})"
    said = [line for line in end_of_log(Path("/proc/self/fd/2").resolve()) if "Error" in line][-_LINES:]
    return "\n".join([repr(error), *(f"  | {line[:300]}" for line in said)])
