"""Requests that were made to harm: without a key nothing of ours runs, and no body is more than a refusal."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.answering.decoding import Choice, Rule, rule_from_json
from inference.serving import middleware
from inference.serving.chat import Questioning
from inference.serving.client import KEY
from inference.serving.gate import Message, Receive, Send
from inference.serving.middleware import SETTINGS, Questions
from tests.inference.test_serving import CHAT, CHOICE, LENGTH, folder, part, start, user

__all__ = ["folder"]
SECRET = "a-key-of-a-test"
ANSWER = json.dumps({"choices": [{"message": {"content": " 1 "}}]}).encode()
ITEMS = {"first": [[1], [2]], "later": [[3, 1], [3, 2]], "least": 1, "most": 2}


def rule(**changes: Any) -> dict[str, Any]:
    return {"max_new_tokens": 4, "end": [0], **changes}


class Vllm:
    """In vLLM's place: it reads what comes, and says ``answer``. Like vLLM it refuses without reading."""

    def __init__(self, answer: bytes = ANSWER) -> None:
        self.answer, self.read = answer, list[bytes]()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        authorized = dict(scope["headers"]).get(b"authorization") == f"Bearer {SECRET}".encode()
        if scope["path"].startswith("/v1") and not authorized and scope["method"] != "OPTIONS":
            await send(start(b"application/json", 401))
            await send(part(b"{}", False))
            return
        if scope["method"] == "POST":
            self.read.append((await receive()).get("body", b""))
        await send(start(b"application/json"))
        await send(part(self.answer, False))


@pytest.fixture
def vllm() -> Vllm:
    return Vllm()


@pytest.fixture
def app(folder: Path, vllm: Vllm, monkeypatch: pytest.MonkeyPatch) -> Iterator[Questions]:
    made = {"model": str(folder), "name": "v8", "mode": "exact", "max_length": LENGTH, "mixed_on_cpu": True}
    monkeypatch.setenv(SETTINGS, json.dumps(made))
    monkeypatch.setenv(KEY, SECRET)
    yield Questions(vllm)


def asked(
    app: Questions, parts: Sequence[Message | float], path: str = CHAT, method: str = "POST", key: str = SECRET
) -> tuple[int, bytes]:
    """Status (0: none came) and body of the response to a request that comes in ``parts``; a number waits."""
    sent: list[Message] = []
    left = list(parts)

    async def receive() -> Message:
        while left:
            one = left.pop(0)
            if isinstance(one, dict):
                return one
            await asyncio.sleep(one)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {key}".encode())] if key else []
    asyncio.run(app({"type": "http", "method": method, "path": path, "headers": headers}, receive, send))
    return (sent[0]["status"] if sent else 0), b"".join(message.get("body", b"") for message in sent)


def request(body: bytes, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def posted(app: Questions, body: Any, path: str = CHAT) -> tuple[int, bytes]:
    return asked(app, [request(body if isinstance(body, bytes) else json.dumps(body).encode())], path)


@pytest.mark.parametrize("key", ["", "wrong", SECRET + " "])
@pytest.mark.parametrize("body", [user(CHOICE, recipe=3), user("x" * 2_000_000)])
def test_without_the_key_nothing_is_read(app: Questions, vllm: Vllm, key: str, body: Any) -> None:
    status, _ = asked(app, [request(json.dumps(body).encode())], key=key)
    assert status == 401 and not vllm.read


@pytest.mark.parametrize("path", ["/invocations", "/tokenize", "/scale_elastic_ep", "/docs", "/healthy", "//v1/models"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "HEAD"])
def test_the_key_guards_also_what_vllm_leaves_open(app: Questions, vllm: Vllm, path: str, method: str) -> None:
    """vLLM answers chats at /invocations without one."""
    assert asked(app, [request(json.dumps(user(CHOICE)).encode())], path, method, key="")[0] == 401
    assert not vllm.read and asked(app, [request(b"{}")], path, method)[0] == 200


def test_looks_at_health_want_no_key(app: Questions) -> None:
    for path in ("/health", "/metrics", "/version"):
        assert asked(app, [], path, "GET", key="")[0] == 200 and asked(app, [], path, "POST", key="")[0] == 401
    assert asked(app, [], CHAT, "OPTIONS", key="")[0] != 401  # a browser asks so beforehand, without a key


@pytest.mark.parametrize(
    "more",
    [{"prompt_logprobs": 1}, {"echo": 1}, {"sampling_params": {"prompt_logprobs": 0}}],
)
def test_what_ends_vllm_is_refused(app: Questions, vllm: Vllm, more: dict[str, Any]) -> None:
    """Seen: with an adapter on a CPU one such request ended the engine of vLLM 0.32."""
    for path in (CHAT, "/v1/completions", "/invocations"):
        status, said = posted(app, user(CHOICE, **more), path)
        assert status == 400 and b"end vLLM" in said and not vllm.read
    app._mixed_on_cpu = False
    assert posted(app, user(CHOICE, **more), "/v1/completions")[0] == 200


@pytest.mark.parametrize("more", [{"messages": -1}, {"messages": None}, {"structured_outputs": "abc"}])
def test_what_vllm_is_sure_of_is_looked_at(app: Questions, vllm: Vllm, more: dict[str, Any]) -> None:
    """Seen: vLLM 0.32 answers a field of another type with 500."""
    for path in (CHAT, "/v1/completions", "/invocations"):
        assert posted(app, {**user(CHOICE), **more}, path)[0] == 400 and not vllm.read


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/tokenize"])
def test_what_is_too_long_is_not_read_to_its_end(app: Questions, vllm: Vllm, path: str) -> None:
    pieces = [request(b"x" * 2**18, True)] * 1_000
    status, body = asked(app, pieces, path)
    assert status == 413 and b"1,048,576 bytes" in body and not vllm.read


def test_what_comes_too_slowly_is_not_waited_for(app: Questions, vllm: Vllm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "BODY_SECONDS", 0.05)
    status, _ = asked(app, [request(b"{", True), 3_600.0])
    assert status == 408 and not vllm.read


def test_who_goes_away_costs_nothing(app: Questions, vllm: Vllm) -> None:
    assert asked(app, [request(b'{"messages"', True)]) == (0, b"") and not vllm.read
    vllm.answer = b"null"  # what FastAPI makes of a request that was cancelled
    assert posted(app, user(CHOICE)) == (200, b"null")


def test_others_are_answered_while_a_question_is_read(app: Questions, monkeypatch: pytest.MonkeyPatch) -> None:
    health = threading.Event()
    monkeypatch.setattr(Questioning, "posed", lambda self, body: health.wait(60) and None)

    async def ask(path: str, method: str, messages: list[Message]) -> None:
        async def receive() -> Message:
            return messages.pop(0)

        async def send(message: Message) -> None:
            pass

        headers = [(b"authorization", f"Bearer {SECRET}".encode())]
        await app({"type": "http", "method": method, "path": path, "headers": headers}, receive, send)

    async def both() -> None:
        question = asyncio.create_task(ask(CHAT, "POST", [request(json.dumps(user(CHOICE)).encode())]))
        await asyncio.sleep(0.01)
        await ask("/health", "GET", [])
        health.set()
        await question

    asyncio.run(both())
    assert health.is_set()


UNSOUND = {
    "deep": b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "levels": json.dumps(user(json.loads("[" * 70 + "]" * 70))).encode(),
    "half a letter": json.dumps(user("\ud800")).encode(),
    "5,000 digits": b'{"seed": ' + b"9" * 5_000 + b"}",
    "beyond 64 bits": b'{"seed": ' + b"9" * 30 + b"}",
    "not a number": b'{"temperature": NaN}',
    "endless": b'{"temperature": 1e999}',
}
RULES: dict[str, Any] = {
    "no JSON": "a", "a list": '["a", 1]', "a number": 3, "an object": {},
    "a token that is not there": rule(bias=[[10**9, 1.0]]), "a negative token": rule(bias=[[-1, 1.0]]),
    "an end in words": rule(end="abc"), "an end that is not there": rule(end=[70_000]),
    "most": rule(choice={**ITEMS, "most": -1}), "more than there are": rule(choice={**ITEMS, "most": 3}),
    "least": rule(choice={**ITEMS, "least": -1}), "the same": rule(choice={**ITEMS, "first": [[1], [1]]}),
    "empty": rule(choice={**ITEMS, "later": [[], []]}), "one behind": rule(choice={**ITEMS, "later": [[1]]}),
    "a boost": rule(spans={"bare": [[1]], "spaced": [[1]], "separator": [2], "boost": "x"}),
    "words": rule(spans={"bare": [[1]], "spaced": [], "separator": [2], "boost": 1.0}),
    "a huge boost": rule(bias=[[1, 1e300]]), "a tuple": rule(bias=[[1]]), "true": rule(end=[True]),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSOUND)
@pytest.mark.parametrize("path", [CHAT, "/v1/completions"])
def test_json_that_programs_stumble_over_is_refused(app: Questions, vllm: Vllm, name: str, path: str) -> None:
    status, body = posted(app, UNSOUND[name], path)
    assert status == 400 and json.loads(body)["error"]["message"] and not vllm.read


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("path", [CHAT, "/v1/completions"])
def test_a_rule_from_outside_is_looked_at(app: Questions, vllm: Vllm, name: str, path: str) -> None:
    given = RULES[name] if not isinstance(RULES[name], dict) or not RULES[name] else json.dumps(RULES[name])
    status, body = posted(app, {"prompt": "a", "vllm_xargs": {"recipe_rule": given}}, path)
    assert status == 400 and "recipe_rule is no decoding rule" in json.loads(body)["error"]["message"]
    assert not vllm.read


def test_a_sound_rule_passes_unless_something_else_binds_the_answer_too(app: Questions, vllm: Vllm) -> None:
    body = {"prompt": "a", "vllm_xargs": {"recipe_rule": json.dumps(rule(choice=ITEMS))}}
    assert posted(app, body, "/v1/completions")[0] == 200 and len(vllm.read) == 1
    status, said = posted(app, {**body, "response_format": {"type": "json_object"}}, "/v1/completions")
    assert status == 400 and b"not both" in said
    assert posted(app, {"vllm_xargs": "abc"})[0] == 400
    assert posted(app, user(CHOICE, response_format={"type": "json_schema", "json_schema": {}}))[0] == 200
    assert "recipe_rule" not in json.loads(vllm.read[-1])["vllm_xargs"]


def test_items_that_can_be_read_in_many_ways_take_no_time() -> None:
    """Twelve that begin alike, in any order: of the ways to read them not all are tried."""
    pieces = tuple((1,) * length for length in range(1, 61))
    ambiguous = Rule(2_000, (0,), choice=Choice(pieces, pieces, 1, 60))
    assert ambiguous.step((1,) * 900).allowed == {0, 1}


FIELDS = ("messages", "recipe", "vllm_xargs", "stream", "max_tokens", "logprobs", "response_format", "role", "content",
          "type", "text", "user", "mode", "task_type", "recipe_rule", "exact", "probabilities")  # fmt: skip
WORDS = st.sampled_from(FIELDS) | st.text(max_size=9)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.just(CHOICE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
SEEMING = st.fixed_dictionaries(
    {"messages": st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": JSON}), max_size=2) | JSON},
    optional={name: JSON for name in FIELDS[1:7]},
)


@given((JSON | SEEMING).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_sent_is_passed_on_or_refused(app: Questions, body: bytes) -> None:
    assert posted(app, body)[0] in (200, 400)


@given(JSON.map(json.dumps))
def test_a_rule_is_sound_or_none(text: str) -> None:
    found: Rule | None = None
    with suppress(ValueError):
        found = rule_from_json(text)
    assert found is None or found.step(()) is not None
