"""Before a request is looked at: who asks, how long it is and takes to come, whether it is JSON that programs hold."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import math
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from spine.errors import RecipeError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
BODY_SECONDS = 30.0  # for a body to come
# What is asked without a key. vLLM 0.32 itself asks for one under /v1, /v2, /inference and /cohere alone, and answers
# chats of strangers at /invocations.
_OPEN = frozenset({"/health", "/ping", "/load", "/metrics", "/version"})
_READING = frozenset({"GET", "HEAD"})
_LEAST_BYTES, _TOKEN_BYTES = 2**20, 64  # of a body: what a context may hold, in a text's escapes
_LEVELS = 64  # of lists and objects in one another


class Refused(Exception):
    """A request that is answered with ``status`` and looked at no further."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        self.status, self.why = status, why
        super().__init__(why)


def longest_body(max_length: int) -> int:
    """Bytes, for a model that reads ``max_length`` tokens."""
    return max(_LEAST_BYTES, _TOKEN_BYTES * max_length)


def lacks_key(scope: Message, key: str) -> bool:
    """Whether a request wants a key that it does not bring."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if not key or scope["method"] == "OPTIONS" or (path in _OPEN and scope["method"] in _READING):
        return False
    scheme, _, given = header(scope, b"authorization").partition(b" ")
    same = hmac.compare_digest(*(hashlib.sha256(text).digest() for text in (given, key.encode())))
    return scheme.lower() != b"bearer" or not same


def header(message: Message, name: bytes) -> bytes:
    """Of a request or of a response's start; empty where there is none."""
    return next((value for key, value in message["headers"] if key.lower() == name), b"")


async def whole_body(receive: Receive, most: int | None = None, seconds: float | None = None) -> bytes | None:
    """A request's body; ``None`` if whoever asks goes away before it is whole.

    Raises:
        Refused: it has more than ``most`` bytes, or does not come within ``seconds``.
    """
    content = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                content += message.get("body", b"")
                if most is not None and len(content) > most:
                    raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the request is longer than {most:,} bytes")
                if not message.get("more_body", False):
                    return bytes(content)
    except TimeoutError as error:
        raise Refused(HTTPStatus.REQUEST_TIMEOUT, f"the request did not come within {seconds:g} s") from error


def decoded(content: bytes) -> Any:
    """The JSON value; ``None`` where it is no JSON, which vLLM says itself.

    Raises:
        RecipeError: it is one that programs stumble over.
    """
    try:
        value = json.loads(content)
        json.dumps(value, ensure_ascii=False).encode()
        sound = _is_sound(value, _LEVELS)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None
    except (ValueError, RecursionError):  # half of a letter (\\ud800), a number of 5,000 digits
        sound = False
    if not sound:
        raise RecipeError(f"half letters, endless numbers, or more than {_LEVELS} levels of JSON in one another")
    return value


def _is_sound(value: Any, levels: int) -> bool:
    if isinstance(value, float | int):
        return math.isfinite(value) if isinstance(value, float) else abs(value) < 2**63
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_is_sound(one, levels - 1) for one in inner)
