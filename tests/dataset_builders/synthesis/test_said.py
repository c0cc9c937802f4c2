"""What an endpoint may say: reasoning without an answer, other names and types, numbers that nobody counted."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from httpx2 import DecodingError
from hypothesis import given
from hypothesis import strategies as st

from dataset_builders.synthesis.endpoint import _said
from tests.dataset_builders.synthesis.conftest import Run, quoting
from tests.dataset_builders.synthesis.server import Reply, completion, refused, serving


@pytest.mark.parametrize("message", [{"reasoning_content": "Let me see"}, {"reasoning": "Hm"}, {}])
def test_an_answer_that_ended_in_its_reasoning_is_kept_as_that(message: dict[str, str], run: Run) -> None:
    def script(request: dict[str, Any], number: int) -> Reply:
        reply = completion(None, **message)
        return replace(reply, body=reply.body.replace(b'"stop"', b'"length"'))

    with serving(script) as server:
        found = run(server.url, wanted=40)
    assert found.kept == 0 and found.reasons == {"thoughts without an answer": 40} and not found.failed


def test_the_name_of_the_length_is_found_out(run: Run) -> None:
    def script(request: dict[str, Any], number: int) -> Reply:
        if "max_tokens" in request:
            return refused(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        if "response_format" in request:
            return refused(400, "response_format is not supported")
        return quoting(request, number)

    with serving(script) as server:
        assert run(server.url).kept == 40
    assert "max_completion_tokens" in server.asked[-1] and "response_format" not in server.asked[-1]


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@given(ODD, ODD, ODD, ODD, ODD)
def test_whatever_comes_back_is_an_answer_or_a_fault(a: Any, b: Any, c: Any, d: Any, e: Any) -> None:
    message = {"content": a, "refusal": b, "reasoning": c}
    usage = {"prompt_tokens": d, "completion_tokens": e}
    for body in (a, {"choices": b}, {"choices": [b]}, {"choices": [{"message": b, "finish_reason": c}]},
                 {"choices": [{"message": message, "finish_reason": d}], "usage": usage}):  # fmt: skip
        text = ""
        with suppress(DecodingError):
            text, *_ = _said(json.dumps(body).encode())
        assert isinstance(text, str) and len(text) <= 20_001


@pytest.mark.parametrize("count", [2**63, -1, True, 10**30, "9", None])
def test_tokens_that_nobody_counts_so_are_counted_here(count: Any, run: Run) -> None:
    def script(request: dict[str, Any], number: int) -> Reply:
        reply = quoting(request, number)
        body = json.loads(reply.body)
        body["usage"]["prompt_tokens"] = count
        return replace(reply, body=json.dumps(body).encode())

    with serving(script) as server:
        found = run(server.url, wanted=2)
    assert found.kept >= 2 and found.estimated
