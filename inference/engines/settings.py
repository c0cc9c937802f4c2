"""vLLM's settings: the engine and the server have the same, so that they give the same answers. No torch here."""

from __future__ import annotations

from typing import Any

# Read by vLLM when it is imported. KV cache in GiB, on a CPU only.
ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
# One process: a second one would import torch again, and scripts would need a __main__ guard.
IN_PROCESS = {**ENVIRONMENT, "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR"}
RULE_ARGUMENT = "recipe_rule"  # of a request's extra arguments: its decoding rule as JSON
# 19.7 s instead of 23.6 in `make bench ONLY=answering`. Finer blocks let prompts share more of their beginnings (32 is
# the finest that vLLM's attention on a CPU knows), smaller steps let long answers grow while prompts are being read.
_ON_CPU = {"block_size": 32, "max_num_batched_tokens": 1024}
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # max_lora_rank knows only these


def vllm_settings(*, max_length: int, dtype: str, gpus: int, lora_rank: int | None) -> dict[str, Any]:
    """Arguments of ``vllm.LLM``. ``lora_rank``: the adapter's largest; None without one."""
    lora: dict[str, Any] = {}
    if lora_rank:
        rank = next((rank for rank in _RANKS if rank >= lora_rank), lora_rank)
        lora = {"enable_lora": True, "max_lora_rank": rank, "max_loras": 1}
    return {
        "dtype": dtype, "max_model_len": max_length, "enable_prefix_caching": True, "enforce_eager": not gpus,
        "tensor_parallel_size": max(1, gpus), "async_scheduling": False, **lora, **({} if gpus else _ON_CPU),
    }  # fmt: skip
