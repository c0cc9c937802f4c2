"""What is on the wire: the HTTP client under the openai client, which asks the pace before it lets a request out.

A request is made before it comes here and its answer is looked at after it has left: a place at the endpoint is taken
while the endpoint works, and no longer. Importing this imports openai (0.5 s).
"""

from __future__ import annotations

import asyncio
import time
from functools import cache
from ssl import SSLContext
from typing import Any

from httpx2 import Limits, Request, Response, create_ssl_context
from openai import DefaultAsyncHttpxClient

from dataset_builders.synthesis.pace import Pace

_ENCODING = ("content-encoding", "content-length", "transfer-encoding")  # of the bytes as they came


@cache
def _tls() -> SSLContext:
    return create_ssl_context()


class Wire(DefaultAsyncHttpxClient):
    """``seconds``: of one request, from the first byte sent to the last one received. ``most_bytes``: of a response;
    of one that is longer no more is read."""

    def __init__(self, pace: Pace, seconds: float, most_bytes: int) -> None:
        # The pace bounds the connections, and one clock the whole request; neither is wanted twice.
        limits = Limits(max_connections=None, max_keepalive_connections=None)
        super().__init__(timeout=None, limits=limits, verify=_tls())
        self._pace, self._seconds, self._most_bytes = pace, seconds, most_bytes

    async def send(self, request: Request, **options: Any) -> Response:
        """The whole response; its extensions hold ``seconds`` and the ``epoch`` of the pace under which it was sent.

        Raises:
            TimeoutError: it took too long.
        """
        async with self._pace.place() as epoch:
            began = time.monotonic()
            async with asyncio.timeout(self._seconds):
                response = await super().send(request, **options | {"stream": True})
                content = await self._content(response)
            seconds = time.monotonic() - began
        if response.is_success:  # the next one goes out before it is looked at; but not if this one ends everything
            await asyncio.sleep(0)
        headers = [(name, text) for name, text in response.headers.multi_items() if name not in _ENCODING]
        extensions = {"seconds": seconds, "epoch": epoch}
        return Response(response.status_code, headers=headers, content=content, extensions=extensions, request=request)

    async def _content(self, response: Response) -> bytes:
        content = bytearray()
        try:
            async for part in response.aiter_bytes():
                content += part
                if len(content) > self._most_bytes:
                    break
        finally:
            await response.aclose()
        return bytes(content)
