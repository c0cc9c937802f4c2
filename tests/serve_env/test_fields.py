"""vLLM's own requests with values of the wrong kind in each field: it refuses what our middleware passes on."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("vllm")
ODD: tuple[Any, ...] = (
    True, -1, 0, 1.5, 1e308, 2**70, "", "abc", "\x00", [], {}, [[]], [None], {"": {}}, ["a", 1], {"type": "text"},
    [{"type": "text"}],
)  # fmt: skip
CHAT = {"messages": [{"role": "user", "content": "a"}], "model": "x"}


@pytest.mark.parametrize("kind", ["chat", "completion"])
def test_what_vllm_fails_on_does_not_reach_it(kind: str) -> None:
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.entrypoints.openai.completion.protocol import CompletionRequest
    from vllm.exceptions import VLLMValidationError

    from inference.serving.middleware import _SURE

    request: Any = ChatCompletionRequest if kind == "chat" else CompletionRequest
    whole: dict[str, Any] = CHAT if kind == "chat" else {"prompt": "a", "model": "x"}
    failing = set()
    for name in request.model_fields:
        for value in ODD:
            if name in _SURE and not isinstance(value, _SURE[name]):
                continue
            for more in ({}, {"stream": True}, {"logprobs": 1}):
                try:
                    request(**{**whole, **more, name: value}).to_sampling_params(10, {})
                except (ValueError, VLLMValidationError):
                    continue  # a status 400
                except Exception as error:
                    failing.add((name, repr(error)))
    assert not failing
