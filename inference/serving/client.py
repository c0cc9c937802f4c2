"""A client of `recipe serve`: one question, one answer, and what goes wrong on the way explained."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from spine.errors import RecipeError

URL = "http://127.0.0.1:8000"
KEY = "VLLM_API_KEY"  # vLLM's own name for it: the same variable at both ends
AUTHORITY = "SSL_CERT_FILE"  # curl's and OpenSSL's name for a file of certificates to trust
_ELSE = "make serve-v8 starts one; --url http://HOST:PORT, where one runs"
_SHOWN = 300  # letters of what a server says


@dataclass(frozen=True)
class Said:
    """An answer. ``told``: what the server tells beside it (``inference.serving.chat.Posed.told``)."""

    text: str
    model: str
    seconds: float
    told: Mapping[str, Any]


def ask(url: str, text: str, *, model: str | None = None, timeout: float, **steering: Any) -> Said:
    """What the server at ``url`` answers to the question ``text``.

    Args:
        model: one of those that the server names; None: its main one.
        timeout: seconds.
        steering: fields of ``inference.serving.chat.Steering``.

    Raises:
        RecipeError: no server, another server, or one that refuses or fails.
    """
    base = url.rstrip("/").removesuffix("/v1")
    body = {"messages": [{"role": "user", "content": text}], "recipe": steering}
    began = time.monotonic()
    response = _sent("POST", base, "/v1/chat/completions", timeout, {**body, **({"model": model} if model else {})})
    seconds = time.monotonic() - began
    answer = _object(response)
    if not response.is_success or answer is None:
        raise _explained(response, base, timeout)
    if not isinstance(told := answer.get("recipe"), dict):
        raise RecipeError(f"{base} answers as any OpenAI-compatible server does: it knows no questions", way_out=_ELSE)
    return Said(answer["choices"][0]["message"]["content"], answer["model"], seconds, told)


def _sent(method: str, base: str, path: str, timeout: float, body: Mapping[str, Any] | None = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} if (key := os.environ.get(KEY)) else {}
    try:
        # A proxy of the environment is for the world outside; ours is at home, maybe with an authority of its own.
        verify = ssl.create_default_context(cafile=authority) if (authority := os.environ.get(AUTHORITY)) else True
        with httpx.Client(base_url=base, headers=headers, timeout=timeout, trust_env=False, verify=verify) as client:
            return client.request(method, path, json=body)
    except OSError as error:
        raise RecipeError(f"{AUTHORITY} holds no certificates: {error}", where=os.environ.get(AUTHORITY)) from error
    except httpx.ConnectError as error:
        if "certificate" in str(error).lower():
            raise RecipeError(f"{base}: {error}", way_out=f"{AUTHORITY}=FILE trusts those of FILE") from error
        raise RecipeError(f"no server answers at {base}", way_out=_ELSE) from error
    except httpx.TimeoutException as error:
        raise RecipeError(f"{base} did not answer within {timeout:g} s", way_out="--timeout SECONDS") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise RecipeError(f"{base}: {error}") from error


def _explained(response: httpx.Response, base: str, timeout: float) -> RecipeError:
    status, said = response.status_code, _object(response)
    if said is None:
        kind = response.headers.get("content-type", "nothing")
        return RecipeError(f"{base} is no OpenAI-compatible server: it answers {status} with {kind}", way_out=_ELSE)
    error = said.get("error")
    text = str(error.get("message") if isinstance(error, dict) else error or said)[:_SHOWN]
    if status == httpx.codes.UNAUTHORIZED:
        return RecipeError(f"{base} wants a key: {text}", way_out=f"{KEY}=... recipe ask ...")
    if status == httpx.codes.NOT_FOUND:
        models = ", ".join(_models(base, timeout))
        return RecipeError(f"{base}: {text}", way_out=f"--model, one of: {models}" if models else _ELSE)
    if response.is_server_error:
        return RecipeError(f"{base} failed ({status}): {text}", way_out="the server's log says why")
    return RecipeError(f"{base} refuses this ({status}): {text}")


def _models(base: str, timeout: float) -> list[str]:
    said = _object(_sent("GET", base, "/v1/models", timeout)) or {}
    return [model["id"] for model in said.get("data", ()) if "id" in model]


def _object(response: httpx.Response) -> dict[str, Any] | None:
    """The JSON object that came back."""
    try:
        said = response.json()
    except ValueError:
        return None
    return said if isinstance(said, dict) else None
