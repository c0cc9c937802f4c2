"""Requests that no honest client sends, drawn from a seed; each is written out by ``Attack.raw`` as bytes of HTTP."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from inference.answering.engines.settings import RULE_ARGUMENT

CHAT = "/v1/chat/completions"
LARGE = 2**20  # letters
_PATTERNS = ("only ", "1. a\n", "0", "\n", "<|im_end|>", "[", "select 3 of ", "é", "‍", "a,", "\t", "0. \n")
_ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 1e308, 2**70, 10**400, "", "abc", "\x00", [], {}, [[]], [None], {"": {}}, ["a", 1],
    {"type": "text"}, [{"type": "text"}], "0" * 5_000,
)  # fmt: skip
# Fields of vLLM's own, with what is too much of each.
_FIELDS: dict[str, tuple[Any, ...]] = {
    "n": (10**6, 10**12), "max_tokens": (2**31, -(10**9)), "max_completion_tokens": (0, 2**63), "top_k": (-7, 2**40),
    "temperature": (1e300, -1), "top_p": (0, 7), "min_p": (3,), "min_tokens": (10**9,), "seed": (2**64, -(2**70)),
    "logprobs": (10**9, "yes"), "top_logprobs": (10**9, -5), "prompt_logprobs": (10**9, 1),
    "stop": (["a"] * 10**4, [""]), "logit_bias": ({"999999999": 100}, {"-1": 1}, {"a": "b"}),
    "stop_token_ids": ([10**9], [-1]), "allowed_token_ids": ([10**9], [], [-5]), "bad_words": ([""], ["a"] * 10**4),
    "echo": (1,), "response_format": ({"type": "json_schema"}, {"type": "json_object"}),
    "truncate_prompt_tokens": (-(10**9), 10**9),
    "structured_outputs": ({"regex": "(a+)+$"}, {"regex": "("}, {"json": "{"}, {"choice": []}, {"grammar": "x"}),
    "chat_template": ("{{ 1 / 0 }}", "{% for a in range(10**9) %}x{% endfor %}"), "tools": ([{}], "abc"),
    "chat_template_kwargs": ({"a": [1] * 10**4}, "abc"), "stream": ("perhaps",), "repetition_penalty": (0, -1, 1e300),
    "priority": (2**70,), "model": ("../../etc/passwd", "x" * 10**5), "recipe": ({"mode": "a"}, {"task_type": []}),
    "logprob_token_ids": ([10**9], "abc"), "return_token_ids": (1,), "cache_salt": ("", "a" * 10**5), "user": ([],),
}  # fmt: skip


@dataclass(frozen=True)
class Attack:
    """``name``: what is wrong with it; ``leaves``: whoever asks does not wait for an answer."""

    name: str
    body: bytes
    path: str = CHAT
    method: str = "POST"
    key: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    leaves: bool = False

    def raw(self) -> bytes:
        """The request, with an honest length unless a header says otherwise."""
        own = {"Host": "localhost", "Content-Type": "application/json", "Content-Length": str(len(self.body)),
               "Connection": "close"}  # fmt: skip
        if self.key:
            own["Authorization"] = f"Bearer {self.key}"
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**own, **self.headers}.items())
        return f"{self.method} {self.path} HTTP/1.1\r\n{lines}\r\n".encode() + self.body


def question(text: Any = "Which is a fruit?\n0. fig\n1. fork\nAnswer:", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 2, **more}


def attacks(seed: int, key: str, most: int) -> list[Attack]:
    """``most`` of them; three in four know the key, one in twenty leaves."""
    draw = random.Random(seed)
    makers = [_random_bytes, _cut, _deep, _letters, _large, _too_large, _messages, _rule, _field, _doors, _headers]
    made = []
    for _ in range(most):
        known = key if draw.random() < 0.75 else draw.choice([None, "x", "é" * 99])
        one = draw.choice(makers)(draw, known)
        made.append(replace(one, leaves=one.leaves or draw.random() < 0.05))
    return made


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _random_bytes(draw: random.Random, key: str | None) -> Attack:
    return Attack("random bytes", draw.randbytes(draw.choice([0, 1, 40, 4_000])), key=key)


def _cut(draw: random.Random, key: str | None) -> Attack:
    whole = _json(question())
    return Attack("JSON that is cut off", whole[: draw.randrange(len(whole))], key=key)


def _deep(draw: random.Random, key: str | None) -> Attack:
    levels = draw.choice([30, 65, 500, 5_000, 100_000])
    opened, closed = draw.choice([(b"[", b"]"), (b'{"a":', b"}")])
    nested = opened * levels + b"1" + closed * levels
    where = draw.choice([b"messages", b"recipe", b"vllm_xargs", b"tools", b"metadata"])
    return Attack("deep JSON", b'{"' + where + b'":' + nested + b"}", key=key)


def _letters(draw: random.Random, key: str | None) -> Attack:
    text = draw.choice([r"\ud800", r"\udfff a", r"\u0000", "\x7f" * 9, r"\u202e", r"\uffff"])
    return Attack("odd letters", _json(question("HERE")).replace(b"HERE", text.encode()), key=key)


def _large(draw: random.Random, key: str | None) -> Attack:
    pattern = "".join(draw.sample(_PATTERNS, draw.randint(1, 3)))
    size = draw.choice([10_000, 100_000, LARGE // 8])
    return Attack(
        "a long text", json.dumps(question(pattern * (size // len(pattern))), ensure_ascii=False).encode(), key=key
    )


def _too_large(draw: random.Random, key: str | None) -> Attack:
    return Attack("more than the limit", b" " * (LARGE + draw.randrange(LARGE)), key=key)


def _messages(draw: random.Random, key: str | None) -> Attack:
    role = draw.choice(["user", "system", "tool", "", 5, None])
    odd = draw.choice(_ODD)
    messages = draw.choice([odd, [odd], [{"role": role, "content": odd}], [{"role": role}] * 50, [{"content": "a"}]])
    return Attack("no messages", _json({"messages": messages, "max_tokens": 2}), key=key)


def _rule(draw: random.Random, key: str | None) -> Attack:
    item: Callable[[], Any] = lambda: draw.choice([draw.choice(_ODD), 10**9, -1, 5, ["a", 1]])  # noqa: E731
    names = ("bias", "boost", "allowed", "end", "items", "most", "separator", "max_new_tokens", "x", "choices", "text")
    made = {name: draw.choice([item(), [item() for _ in range(12)], {"1": item()}]) for name in draw.sample(names, 3)}
    given = draw.choice([made, json.dumps(made), item(), [made], {"items": [[1]] * 12, "most": 12}])
    return Attack(
        "a rule of one's own", _json(question(vllm_xargs=draw.choice([{RULE_ARGUMENT: given}, given]))), key=key
    )


def _field(draw: random.Random, key: str | None) -> Attack:
    name = draw.choice(list(_FIELDS))
    value = draw.choice([draw.choice(_FIELDS[name]), draw.choice(_FIELDS[name]), draw.choice(_ODD)])
    return Attack(f"{name} of {str(value)[:30]}", _json({**question(), name: value}), key=key)


_DOORS = (
    "/v1/completions", "/v1/embeddings", "/v1/models/..%2f..", "/tokenize", "/detokenize", "/health", "/metrics",
    "/v1/responses", "/v1/score", "/invocations", "//v1/chat/completions", "/v1/%00", "/" + "a" * 9_000,
    "/v1/load_lora_adapter", "/inference/v1/generate", "/version",
)  # fmt: skip


def _doors(draw: random.Random, key: str | None) -> Attack:
    path, method = draw.choice(_DOORS), draw.choice(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "A" * 500])
    body = draw.choice([b"", _json(question()), _json({"prompt": draw.choice(_ODD), "max_tokens": 2})])
    return Attack(f"{method[:8]} {path[:30]}", body, path, method, key)


_HEADERS = (
    {"Content-Length": "-1"}, {"Content-Length": "99999999999999"}, {"Content-Length": "3"}, {"X": "a" * 70_000},
    {"Transfer-Encoding": "chunked"}, {"Content-Encoding": "gzip"}, {"Content-Type": "text/plain"},
    {"Content-Type": "multipart/form-data; boundary=x"}, {"Expect": "100-continue"}, {"Authorization": "Bearer"},
    {"Upgrade": "websocket", "Connection": "Upgrade"},
)  # fmt: skip


def _headers(draw: random.Random, key: str | None) -> Attack:
    headers = draw.choice(_HEADERS)
    told = ", ".join(f"{name}: {value[:20]}" for name, value in headers.items())
    # Who asks for a websocket and then says nothing, is waited for by uvicorn, which costs nothing.
    return Attack(told, _json(question()), key=key, headers=headers, leaves="Upgrade" in headers)
