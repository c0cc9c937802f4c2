"""One question to an OpenAI-compatible endpoint, through whatever goes wrong on the way.

What is worth another try is tried again, with growing pauses or those that the endpoint asks for. What no second try
can mend (a wrong key, an unknown model) stops everything at once. The key is the environment's and is never shown.
"""

from __future__ import annotations

import asyncio
import email.utils
import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from dataset_builders.synthesis.answers import LONGEST, REFUSED
from dataset_builders.synthesis.pace import Pace
from dataset_builders.synthesis.request import Messages, estimated_tokens
from spine.errors import RecipeError

if TYPE_CHECKING:
    from openai import APIStatusError

KEYS = ("SYNTH_API_KEY", "OPENAI_API_KEY")
_TRIES = 6
_FIRST_TRIES = 3  # while nothing was answered yet
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds
_MOST_BYTES = 4 * 2**20  # of a response
_LONGEST_WAIT = 300.0  # seconds that an endpoint may ask for; more is for another day
_FAILURES = 20  # requests in a row that failed for good, from which on nothing more is asked
_FIRST_FAILURES = 3  # the same, of an endpoint that has answered nothing yet
_NO_SCHEMA = ("response_format", "json_schema", "structured", "guided", "schema", "grammar")


class Said(NamedTuple):
    """What came back. ``counted``: whether the endpoint counted the tokens, or we did."""

    text: str
    asked: int
    answered: int
    seconds: float
    counted: bool


class Failed(Exception):
    """One request came to nothing; the next one may."""


class _TryAgain(Exception):
    """``wait``: seconds that the endpoint asks for."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        self.why, self.wait = why, wait


@dataclass
class Endpoint:
    """``url`` ends in ``/v1``. ``timeout``: seconds of one try. ``pause``: seconds, what the first pause is made of."""

    url: str
    model: str
    pace: Pace
    timeout: float = 120.0
    tries: int = _TRIES
    pause: float = _FIRST_PAUSE
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    structured: bool = True  # until the endpoint says that it knows no such thing
    answered: int = 0
    _failed_in_a_row: int = 0

    def __post_init__(self) -> None:
        from openai import AsyncOpenAI

        from dataset_builders.synthesis.wire import Wire

        self._key = _key(self.environment)
        self._client = AsyncOpenAI(
            base_url=checked(self.url),
            api_key=self._key or "none",
            max_retries=0,
            timeout=None,
            http_client=Wire(self.pace, self.timeout, _MOST_BYTES),
        )

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
        last = "it knows structured outputs now and then"
        for number in range(self.tries):
            if number >= _FIRST_TRIES and not self.answered:
                break  # an endpoint that was never heard of is not waited for
            options: dict[str, Any] = {"temperature": temperature, "max_tokens": tokens}
            if structured := self.structured:
                options["response_format"] = response_format
            try:
                said = await self._try(messages, options)
            except _TryAgain as trouble:
                last, pause = trouble.why, min(_LONGEST_PAUSE, self.pause * 2**number)
                wait = pause * random.uniform(0.5, 1.5)
                if trouble.wait is not None:  # never sooner than asked for
                    wait = trouble.wait + random.uniform(0, pause)
                if number + 1 < self.tries:
                    await asyncio.sleep(wait)
            except _Unstructured:
                self.structured = self.structured and not structured
            else:
                self.answered += 1
                self._failed_in_a_row = 0
                self.pace.answered(said.seconds)
                return said
        raise self._failure(f"{last}, and again when tried once more")

    async def _try(self, messages: Messages, options: Mapping[str, Any]) -> Said:
        from httpx2 import Response
        from openai import APIConnectionError, APIStatusError

        # Not chat.completions.create, which walks through all of the body for types: a third of a request's time.
        body = orjson.dumps({"model": self.model, "messages": messages, **options})
        try:
            response = await self._client.post("/chat/completions", cast_to=Response, content=body)
        except TimeoutError as error:
            raise _TryAgain(f"no answer within {self.timeout:g} s") from error
        except APIConnectionError as error:
            raise _TryAgain(f"no connection to {self.url}") from error
        except APIStatusError as error:
            raise self._status(error, "response_format" in options) from None  # its text may hold the key
        return self._said(response.content, messages, response.extensions["seconds"])

    def _status(self, error: APIStatusError, structured: bool) -> Exception:
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
        if status == 429:
            wait = _retry_after(error.response.headers)
            if "insufficient_quota" in text or (wait or 0) > _LONGEST_WAIT:
                asked = f"asks to wait {wait:.0f} s" if wait else "has no credit left for this key"
                return self._stop(f"{self.url} {asked}", way_out="run the same command later; all answers are kept")
            self.pace.refused(error.response.extensions["epoch"], wait or 0.0)
            return _TryAgain("429, too many requests", wait)
        if status in (408, 409, 425) or status >= 500:
            return _TryAgain(f"error {status}", _retry_after(error.response.headers))
        if structured and status in (400, 422) and any(word in text.lower() for word in _NO_SCHEMA):
            return _Unstructured()
        return self._failure(f"refused ({status}: {text})")

    def _said(self, content: bytes, messages: Messages, seconds: float) -> Said:
        if len(content) > _MOST_BYTES:
            raise _TryAgain(f"a response of more than {_MOST_BYTES:,} bytes")
        try:
            body = orjson.loads(content)
            message = body["choices"][0]["message"]
            text, refusal = message.get("content"), message.get("refusal")
            usage = body.get("usage") or {}
            asked, answered = usage.get("prompt_tokens"), usage.get("completion_tokens")
        except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, AttributeError) as error:
            begins = content[:40].decode(errors="replace").strip()
            raise _TryAgain(f"no chat completion came back but {begins!r}") from error
        if not isinstance(text, str) or not text.strip():
            if not isinstance(refusal, str):
                raise _TryAgain("an empty answer")
            text = REFUSED + refusal
        if isinstance(asked, int) and isinstance(answered, int):
            return Said(text[: LONGEST + 1], asked, answered, seconds, counted=True)
        asked, answered = estimated_tokens(messages), estimated_tokens([{"content": text}])
        return Said(text[: LONGEST + 1], asked, answered, seconds, counted=False)

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
    from openai import OpenAI, OpenAIError

    try:
        with OpenAI(base_url=checked(url), api_key=_key(environment) or "none", max_retries=1, timeout=20) as client:
            names = sorted(model.id for model in client.models.list().data)
    except (OpenAIError, AttributeError, TypeError) as error:  # it may answer anything
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


def checked(url: str) -> str:
    """``url``, which must be a web address."""
    if not url.startswith(("http://", "https://")):
        raise RecipeError(f"'{url}' is no endpoint", way_out="--endpoint http://localhost:8000/v1")
    return url


def _key(environment: Mapping[str, str]) -> str:
    return next((environment[name] for name in KEYS if environment.get(name)), "")


class _Unstructured(Exception):
    """The endpoint knows no structured outputs."""


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
    except (ValueError, TypeError):
        return None
