"""What vLLM's server is given beside a model: an ASGI middleware that poses the questions among its requests.

``--middleware inference.serving.middleware.Questions``; its settings are the environment variable ``RECIPE_SERVING``.
The server's process imports this module.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from inference.answering.rules import Mode, Rules
from inference.serving.chat import Posed, Questioning, Stream
from inference.serving.client import KEY
from inference.serving.gate import (
    BODY_SECONDS,
    Message,
    Receive,
    Refused,
    Send,
    decoded,
    header,
    lacks_key,
    longest_body,
    whole_body,
)
from spine.chat import ChatTokenizer
from spine.errors import RecipeError
from spine.template import pin_date

SETTINGS = "RECIPE_SERVING"  # JSON: model (a folder), name, mode, max_length, mixed_on_cpu (whether adapters are)
_PATH = "/v1/chat/completions"
# Fields of whose type vLLM 0.32 is so sure that it fails on another one (tests/serve_env/test_fields.py asks it).
_SURE = {"messages": list, "structured_outputs": dict | None}
_EVENT_END = b"\n\n"
_THREADS = 2  # that read questions, while the loop answers others
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Questions:
    """Around vLLM's app: chat requests that hold a question get what an evaluation would give them."""

    def __init__(self, app: App) -> None:
        self.app = app
        made = json.loads(os.environ[SETTINGS])
        with suppress(ImportError):  # transformers, which vLLM renders with
            pin_date()
        rules = Rules.of(made["model"], ChatTokenizer.load(made["model"]))
        self.questioning = Questioning(rules, made["name"], Mode(made["mode"]), made["max_length"])
        self._key, self._most = os.environ.get(KEY, ""), longest_body(made["max_length"])
        self._threads = ThreadPoolExecutor(_THREADS)
        self._mixed_on_cpu = made["mixed_on_cpu"]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if lacks_key(scope, self._key):
            await _refuse(send, HTTPStatus.UNAUTHORIZED, f"Unauthorized: it wants the key of {KEY}")
            return
        if scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        try:
            if (content := await whole_body(receive, self._most, BODY_SECONDS)) is None:
                return
            loop = asyncio.get_running_loop()
            posed = await loop.run_in_executor(self._threads, self._posed, scope["path"], content)
        except RecipeError as error:
            await _refuse(send, HTTPStatus.BAD_REQUEST, str(error))
            return
        except Refused as refused:
            await _refuse(send, refused.status, refused.why)
            return
        if posed:
            content = json.dumps(posed.body, ensure_ascii=False).encode()
            answer = _FinishedSend(send, posed)
            await self.app(_with_length(scope, content), _again(content, receive), answer)
        else:
            await self.app(scope, _again(content, receive), send)

    def _posed(self, path: str, content: bytes) -> Posed | None:
        body = decoded(content)
        if not isinstance(body, dict):
            return None
        if self._mixed_on_cpu and _wants_prompt_logprobs(body):
            raise RecipeError(
                "no log probabilities of a prompt: with an adapter on a CPU they end vLLM 0.32",
                way_out="recipe merge, and serve the merged folder: recipe serve --model FOLDER",
            )
        for name in body.keys() & _SURE.keys():
            if not isinstance(body[name], _SURE[name]):
                raise RecipeError(f"{name} cannot be {str(body[name])[:40]!r}")
        self.questioning.refuse_unsound_rule(body)
        return self.questioning.posed(body) if path == _PATH else None


def _wants_prompt_logprobs(body: Mapping[str, Any]) -> bool:
    """Of a chat or a completion, which have them by ``echo``, too, or of vLLM's own ``/inference/v1/generate``."""
    inner = body.get("sampling_params")
    given = {**body, **(inner if isinstance(inner, dict) else {})}
    return given.get("prompt_logprobs") is not None or given.get("echo") not in (None, False)


class _FinishedSend:
    """Takes the place of ``send``: finishes the answer, whole or event by event; errors pass as they are."""

    def __init__(self, send: Send, posed: Posed) -> None:
        self.send, self.posed, self.stream = send, posed, Stream(posed)
        self.start: Message | None = None
        self.kept = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
            self.events = header(message, b"content-type").startswith(b"text/event-stream")
            if self._passes:
                await self.send(message)
        elif message["type"] != "http.response.body" or (self._passes and not self.events):
            await self.send(message)
        else:
            await self._body(message)

    @property
    def _passes(self) -> bool:
        assert self.start is not None
        return self.events or self.start["status"] != HTTPStatus.OK

    async def _body(self, message: Message) -> None:
        assert self.start is not None
        more = message.get("more_body", False)
        self.kept += message.get("body", b"")
        if self.events:
            *whole, self.kept = self.kept.split(_EVENT_END)
            body = b"".join(self._event(event) + _EVENT_END for event in whole)
            await self.send({**message, "body": body if more else body + self.kept})
        elif not more:
            body = self._finished()
            await self.send(_with_length(self.start, body))
            await self.send({**message, "body": body})

    def _finished(self) -> bytes:
        answer = json.loads(self.kept or b"null")
        if not isinstance(answer, dict):  # whoever asked has gone
            return self.kept
        return json.dumps(self.posed.answered(answer), ensure_ascii=False).encode()

    def _event(self, event: bytes) -> bytes:
        name, _, data = event.partition(b": ")
        if name != b"data" or not data.startswith(b"{"):  # a sign of life, or the end
            return event
        return b"data: " + json.dumps(self.stream.passed_on(json.loads(data)), ensure_ascii=False).encode()


def _again(content: bytes, receive: Receive) -> Receive:
    """Gives ``content``; from then on whatever comes, so that the client's leaving is seen."""
    given = False

    async def one() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": content, "more_body": False}

    return one


def _with_length(message: Message, body: bytes) -> Message:
    kept = [(key, value) for key, value in message["headers"] if key.lower() != b"content-length"]
    return {**message, "headers": [*kept, (b"content-length", str(len(body)).encode())]}


async def _refuse(send: Send, status: HTTPStatus, why: str) -> None:
    """In the form of OpenAI's errors; what comes behind a body that is too long or too slow is not waited for."""
    error = {"message": why, "type": "BadRequestError", "param": None, "code": status.value}
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json")]
    if status != HTTPStatus.BAD_REQUEST:
        headers.append((b"connection", b"close"))
    await send(_with_length({"type": "http.response.start", "status": status.value, "headers": headers}, body))
    await send({"type": "http.response.body", "body": body})
