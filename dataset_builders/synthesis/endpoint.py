"""One question to an OpenAI-compatible endpoint, through whatever goes wrong on the way.

What is worth another try is tried again by the openai client, with growing pauses or those that the endpoint asks for;
a response that is no chat completion is such a fault, too. What no second try can mend (a wrong key, an unknown model)
stops everything at once. The key is the environment's and is never shown. Importing this imports openai (0.5 s).
"""

from __future__ import annotations

import asyncio
import email.utils
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from ssl import SSLContext
from typing import Any

import orjson
from httpx2 import DecodingError, Limits, ReadTimeout, Request, Response, create_ssl_context
from openai import APIConnectionError, APIStatusError, AsyncOpenAI, DefaultAsyncHttpxClient, OpenAI, OpenAIError

from dataset_builders.synthesis.answers import REFUSED, UNSAID, shortened
from dataset_builders.synthesis.pace import Pace
from dataset_builders.synthesis.request import Failed, Messages, Said, estimated_tokens
from spine.errors import RecipeError

KEYS = ("SYNTH_API_KEY", "OPENAI_API_KEY")
_FIRST_RETRIES, _MORE_RETRIES = 2, 3  # the latter once anything was answered
_MOST_BYTES = 4 * 2**20  # of a response
_LONGEST_WAIT = 120.0  # seconds that an endpoint may ask for: the openai client waits no longer
_FAILURES = 20  # requests in a row that failed for good, from which on nothing more is asked
_FIRST_FAILURES = 3  # the same, of an endpoint that has answered nothing yet
_NO_SCHEMA = ("response_format", "json_schema", "structured", "guided", "schema", "grammar")
_ENCODING = ("content-encoding", "content-length", "transfer-encoding")  # of the bytes as they came
_NO_CREDIT = "insufficient_quota"
_LENGTHS = ("max_tokens", "max_completion_tokens")  # OpenAI's models that reason take the second name alone
_MOST_TOKENS = 2**40  # that an endpoint may say it counted


class Wire(DefaultAsyncHttpxClient):
    """The HTTP client under the openai client, which asks the pace before it lets a request out.

    A request is made before it comes here and its answer is looked at after it has left: a place at the endpoint is
    taken while the endpoint works, and no longer. ``seconds``: of one try, from the first byte sent to the last one
    received.
    """

    def __init__(self, pace: Pace, seconds: float) -> None:
        # The pace bounds the connections, and one clock the whole request; neither is wanted twice.
        limits = Limits(max_connections=None, max_keepalive_connections=None)
        super().__init__(timeout=None, limits=limits, verify=_tls())
        self._pace, self._seconds = pace, seconds

    async def send(self, request: Request, **options: Any) -> Response:
        """The whole response; the extensions of a chat completion hold what was ``said`` and the ``seconds`` it took.

        Raises:
            ReadTimeout: it took too long. The openai client tries again, as it does after all of httpx2's errors.
            DecodingError: it is no chat completion; likewise.
        """
        async with self._pace.place() as epoch:
            began = time.monotonic()
            try:
                async with asyncio.timeout(self._seconds):
                    response = await super().send(request, **options | {"stream": True})
                    content = await _content(response)
            except TimeoutError as error:
                raise ReadTimeout(f"no answer within {self._seconds:g} s", request=request) from error
            seconds = time.monotonic() - began
        extensions: dict[str, Any] = {}
        headers = [(name, text) for name, text in response.headers.multi_items() if name not in _ENCODING]
        if response.is_success:
            await asyncio.sleep(0)  # the next one goes out before this one is looked at
            extensions = {"said": _said(content), "seconds": seconds}
            self._pace.answered(seconds)
        elif response.status_code == 429:
            self._pace.refused(epoch, _retry_after(response.headers) or 0.0)
            headers += [("x-should-retry", "false")] if _NO_CREDIT.encode() in content else []
        return Response(response.status_code, headers=headers, content=content, extensions=extensions, request=request)


@dataclass
class Endpoint:
    """``url`` ends in ``/v1``. ``timeout``: seconds of one try."""

    url: str
    model: str
    pace: Pace
    timeout: float = 120.0
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    structured: bool = True  # until the endpoint says that it knows no such thing
    length: str = _LENGTHS[0]  # likewise
    answered: int = 0
    _failed_in_a_row: int = 0

    def __post_init__(self) -> None:
        self._key = _key(self.environment)
        wire = Wire(self.pace, self.timeout)
        self._client = AsyncOpenAI(base_url=self.url, api_key=self._key or "none", timeout=None, http_client=wire)

    async def close(self) -> None:
        """Lets go of the connections."""
        await self._client.close()

    async def ask(
        self, messages: Messages, response_format: Mapping[str, Any], temperature: float, tokens: int
    ) -> Said:
        """What the model says.

        Raises:
            Failed: it is no use with this request.
            RecipeError: it is no use at all.
        """
        request = {"model": self.model, "messages": messages, "temperature": temperature}
        response = None
        while response is None:
            structured, length = self.structured, self.length
            form = {"response_format": response_format} if structured else {}
            try:
                response = await self._post(request | {length: tokens} | form, structured, length)
            except _Unknown as unknown:  # for all requests, of which another may have found the other one out
                self.structured &= unknown.structured
                self.length = max(self.length, unknown.length, key=_LENGTHS.index)
        self.answered += 1
        self._failed_in_a_row = 0
        text, asked, answered = response.extensions["said"]
        if counted := all(type(count) is int and 0 <= count < _MOST_TOKENS for count in (asked, answered)):
            return Said(text, asked, answered, response.extensions["seconds"], counted)
        asked, answered = estimated_tokens(messages), estimated_tokens([{"content": text}])
        return Said(text, asked, answered, response.extensions["seconds"], counted)

    async def _post(self, request: Mapping[str, Any], structured: bool, length: str) -> Response:
        # Not chat.completions.create, which walks through all of the body for types: a third of a request's time.
        body, path = orjson.dumps(request), "/chat/completions"
        for retries in (_FIRST_RETRIES, _MORE_RETRIES):
            try:
                options: Any = {"max_retries": retries}
                return await self._client.post(path, cast_to=Response, content=body, options=options)
            except APIStatusError as error:
                if (final := self._final(error, structured, length)) is not None:
                    raise final from None  # its text may hold the key
                why = f"error {error.status_code}"
            except APIConnectionError as error:
                known = isinstance(error.__cause__, ReadTimeout | DecodingError)
                why = str(error.__cause__) if known else f"no connection to {self.url}"
            if not self.answered:
                break  # an endpoint that was never heard of is not waited for
        raise self._failure(f"{why}, and again when tried once more")

    def _final(self, error: APIStatusError, structured: bool, length: str) -> Exception | None:
        """What comes of it; ``None`` where the next try may find the endpoint in another mood."""
        status, text = error.status_code, self._shown(error)
        if status in (401, 403):
            given = next((name for name in KEYS if self.environment.get(name)), None)
            return self._stop(
                f"{self.url} does not accept the key ({status})",
                where=f"the environment variable {given}" if given else None,
                way_out=f"{KEYS[0]}=... recipe synth run ...; what was answered so far is kept",
            )
        if status == 404:
            return self._stop(
                f"{self.url} does not know the model '{self.model}', or is no such endpoint (404: {text})",
                way_out="the endpoint's own list: GET /v1/models; its address ends in /v1",
            )
        if status == 429 and (_NO_CREDIT in text or (_retry_after(error.response.headers) or 0) > _LONGEST_WAIT):
            wait = _retry_after(error.response.headers)
            asked = f"asks to wait {wait:.0f} s" if wait else "has no credit left for this key"
            return self._stop(f"{self.url} {asked}", way_out="run the same command later; all answers are kept")
        if status in (408, 409, 429) or status >= 500:
            return None
        if length == _LENGTHS[0] and status in (400, 422) and _LENGTHS[1] in text:
            return _Unknown(structured, _LENGTHS[1])
        if structured and status in (400, 422) and any(word in text.lower() for word in _NO_SCHEMA):
            return _Unknown(False, length)
        return self._failure(f"refused ({status}: {text})")

    def _failure(self, why: str) -> Exception:
        """Of one request; of everything, where all of the last ones or the first few have failed."""
        self._failed_in_a_row += 1
        if self._failed_in_a_row < (_FAILURES if self.answered else _FIRST_FAILURES):
            return Failed(why)
        return self._stop(
            f"{self.url}: {why}" if self.url not in why else why,
            way_out="see whether the endpoint is up, and run the same command again; all answers are kept",
        )

    def _stop(self, what: str, **more: str | None) -> RecipeError:
        """What ends everything; none of those that wait for their turn goes out any more."""
        self.pace.stop()
        return RecipeError(what, **more)

    def _shown(self, error: APIStatusError) -> str:
        """The endpoint's own words, without the key."""
        text = " ".join(str(error.message).split())[:300]
        return text.replace(self._key, "***") if self._key else text


def only_model(url: str, environment: Mapping[str, str]) -> str:
    """The model of an endpoint that serves one.

    Raises:
        RecipeError: it serves none or several, or cannot be asked.
    """
    try:
        with OpenAI(base_url=url, api_key=_key(environment) or "none", max_retries=1, timeout=20) as client:
            names = sorted(str(model.id) for model in client.models.list().data)
    except (OpenAIError, AttributeError, TypeError, ValueError, RecursionError) as error:  # it may answer anything
        status = getattr(error, "status_code", None)
        why = f"answers {status}" if status else "does not answer as an OpenAI-compatible endpoint does"
        raise RecipeError(
            f"{url} {why} when asked for its models", way_out="is its address right (it ends in /v1)? or --model NAME"
        ) from None
    if len(names) == 1:
        return names[0]
    raise RecipeError(
        f"{url} serves {len(names)} models{': ' if names else ''}{', '.join(names[:10])}", way_out="--model NAME"
    )


def _key(environment: Mapping[str, str]) -> str:
    return next((environment[name] for name in KEYS if environment.get(name)), "")


class _Unknown(Exception):
    """The endpoint knows no structured outputs, or another name for the length: how it is to be asked instead."""

    def __init__(self, structured: bool, length: str) -> None:
        self.structured, self.length = structured, length


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, told in milliseconds, in seconds or as a date."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        text = headers.get("retry-after", "")
        if not text:
            return None
        if text.strip().replace(".", "", 1).isdigit():
            return float(text)
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _said(content: bytes) -> tuple[str, Any, Any]:
    """Text, tokens asked, tokens answered; these are numbers where the endpoint counts.

    Raises:
        DecodingError: it is no chat completion, or an empty one.
    """
    if len(content) > _MOST_BYTES:
        raise DecodingError(f"a response of more than {_MOST_BYTES:,} bytes")
    try:
        body = orjson.loads(content)
        choice = body["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content"), message.get("refusal")
        thoughts = message.get("reasoning_content") or message.get("reasoning")
        unsaid = choice.get("finish_reason") == "length" or thoughts
        usage = body.get("usage") or {}
        asked, answered = usage.get("prompt_tokens"), usage.get("completion_tokens")
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, AttributeError) as error:
        begins = content[:40].decode(errors="replace").strip()
        raise DecodingError(f"no chat completion came back but {begins!r}") from error
    if not isinstance(text, str) or not text.strip():
        if not isinstance(refusal, str) and not unsaid:
            raise DecodingError("an empty answer")
        text = REFUSED + refusal if isinstance(refusal, str) else UNSAID
    return shortened(text), asked, answered


async def _content(response: Response) -> bytes:
    """Of one that is longer than ``_MOST_BYTES`` no more is read."""
    content = bytearray()
    try:
        async for part in response.aiter_bytes():
            content += part
            if len(content) > _MOST_BYTES:
                break
    finally:
        await response.aclose()
    return bytes(content)


@cache
def _tls() -> SSLContext:
    return create_ssl_context()
