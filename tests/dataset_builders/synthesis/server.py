"""An OpenAI-compatible server for tests and benchmarks: it answers after a while, or goes wrong as it is told.

python -m tests.dataset_builders.synthesis.server 0.05     prints its port; answers after 50 ms
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}


@dataclass(frozen=True)
class Reply:
    """``status`` 0 closes the connection without a word; ``delay`` in seconds, ``inf`` hangs."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    type: str = "application/json"


Script = Callable[[dict[str, Any], int], Reply]


def completion(text: str | None, *, delay: float = 0.0, **message: Any) -> Reply:
    """A chat completion that says ``text``."""
    said = {"role": "assistant", "content": text, **message}
    body = {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "test",
        "choices": [{"index": 0, "message": said, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }
    return Reply(json.dumps(body).encode(), delay=delay)


def refused(status: int, message: str = "no", **headers: str) -> Reply:
    """An error as OpenAI's servers word it."""
    body = {"error": {"message": message, "type": "error", "code": None}}
    return Reply(json.dumps(body).encode(), status, {name.replace("_", "-"): text for name, text in headers.items()})


class _Connection(asyncio.Protocol):
    def __init__(self, script: Script, asked: list[dict[str, Any]] | None) -> None:
        self._script, self._asked, self._received = script, asked, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if len(body) < (int(lengths[0].partition(b":")[2]) if lengths else 0):
            return
        self._received = b""
        request = json.loads(body) if body else {}
        if self._asked is not None:
            self._asked.append(request)
        reply = self._script(request, len(self._asked or ()))
        if reply.delay != float("inf"):
            asyncio.get_running_loop().call_later(reply.delay, self._send, reply)

    def _send(self, reply: Reply) -> None:
        if reply.status == 0:
            self._transport.abort()
            return
        lines = [
            f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Error')}",
            f"content-type: {reply.type}",
            f"content-length: {len(reply.body)}",
            *(f"{name}: {text}" for name, text in reply.headers.items()),
        ]
        self._transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + reply.body)


@dataclass
class Server:
    """Runs in a thread; ``asked`` are the requests' bodies so far. ``script`` may be exchanged at any time."""

    script: Script
    asked: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@contextmanager
def serving(script: Script) -> Iterator[Server]:
    """The server, up; down again after the block."""
    server, up = Server(script), threading.Event()
    loop = asyncio.new_event_loop()

    async def start() -> None:
        listening = await loop.create_server(
            lambda: _Connection(lambda request, number: server.script(request, number), server.asked),
            "127.0.0.1",
        )
        server.port = listening.sockets[0].getsockname()[1]
        up.set()

    def run() -> None:
        loop.run_until_complete(start())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    up.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _serve(delay: float, text: str) -> None:
    answer = completion(text, delay=delay)
    listening = await asyncio.get_running_loop().create_server(
        lambda: _Connection(lambda request, number: answer, None), "127.0.0.1", backlog=1024
    )
    print(listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]), sys.argv[2]))
