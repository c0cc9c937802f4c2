"""An OpenAI-compatible server for tests and benchmarks: it answers after a while, or goes wrong as it is told.

    python -m tests.dataset_builders.synthesis.server 0.05 TEXT

prints its port; answers TEXT after 50 ms, and a GET with what it has seen so far.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ssl import SSLContext
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


@dataclass
class Server:
    """``script`` may be exchanged at any time.

    Attributes:
        asked: bodies of the requests so far, if they are kept.
        most_out: requests that it had at once, at most.
        seconds: that it has had requests for, in sum: from the last byte read to the answer written.
    """

    script: Script
    asked: list[dict[str, Any]] = field(default_factory=list)
    keep: bool = True
    port: int = 0
    answered: int = 0
    out: int = 0
    most_out: int = 0
    seconds: float = 0.0
    tls: SSLContext | None = None

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}/v1"

    async def listen(self) -> asyncio.Server:
        """Listens on a free port."""
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(lambda: _Connection(self), "127.0.0.1", backlog=1024, ssl=self.tls)
        self.port = listening.sockets[0].getsockname()[1]
        return listening


class _Connection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self._server, self._received = server, b""

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
        server, request = self._server, json.loads(body) if body else {}
        if server.keep:
            server.asked.append(request)
        reply = server.script(request, len(server.asked))
        server.out += 1
        server.most_out = max(server.out, server.most_out)
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        if reply.delay != float("inf"):
            loop.call_later(reply.delay, self._send, reply)

    def connection_lost(self, error: Exception | None) -> None:
        self._back()

    def _back(self) -> None:
        if self._began is not None:
            self._server.out -= 1
            self._server.seconds += asyncio.get_running_loop().time() - self._began
            self._began = None

    _began: float | None = None

    def _send(self, reply: Reply) -> None:
        self._server.answered += 1
        self._back()
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


@contextmanager
def serving(script: Script, tls: SSLContext | None = None) -> Iterator[Server]:
    """A server in a thread, up; down again after the block."""
    server, up = Server(script, tls=tls), threading.Event()
    loop = asyncio.new_event_loop()

    async def start() -> None:
        await server.listen()
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

    def script(request: dict[str, Any], number: int) -> Reply:
        seen = {"answered": server.answered, "most_out": server.most_out, "seconds": server.seconds}
        return answer if request else Reply(json.dumps(seen).encode())

    server = Server(script, keep=False)
    listening = await server.listen()
    print(server.port, flush=True)
    await listening.serve_forever()


if __name__ == "__main__":
    # epoll counts in milliseconds, and lets those that it wakes together arrive together; select is exact.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(_serve(float(sys.argv[1]), sys.argv[2]))
