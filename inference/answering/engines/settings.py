"""vLLM's settings: the engine and the server have the same, so that they give the same answers. No torch here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spine.checkpoint import read_json
from spine.errors import RecipeError
from spine.hardware import bf16_on_cpu, this_machine
from spine.models import model_files

# Read by vLLM when it is imported, unless the user's own environment says otherwise.
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_NO_USAGE_STATS": "1",
    # On GPUs 0.32 would take its second model runner, which refuses rules written for the first (0.32's
    # v1/worker/gpu/sample/logits_processor/loader.py). On a CPU there is only the first.
    "VLLM_USE_V2_MODEL_RUNNER": "0",
    # FlashInfer's would be compiled at the start, with nvcc. Answers are greedy, and what else a server samples goes
    # through vLLM's own kernels.
    "VLLM_USE_FLASHINFER_SAMPLER": "0",
}
# One process: a second one would import torch again, and scripts would need a __main__ guard.
IN_PROCESS = {**ENVIRONMENT, "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR"}
RULE_ARGUMENT = "recipe_rule"  # of a request's extra arguments: its decoding rule as JSON
# 19.7 s instead of 23.6 in `make bench ONLY=answering`. Finer blocks let prompts share more of their beginnings (32 is
# the finest that vLLM's attention on a CPU knows), smaller steps let long answers grow while prompts are being read.
_ON_CPU = {"block_size": 32, "max_num_batched_tokens": 1024}
AMPERE = 8.0  # the first compute capability with bfloat16
# For what is older, a T4 (7.5): FlashAttention does not know it, and FlashInfer, which some releases of vLLM choose
# there, fails (its issue 3620). Eager, as the winners ran: memory for CUDA graphs is what a T4 lacks.
_BEFORE_AMPERE = {"attention_backend": "TRITON_ATTN", "enforce_eager": True}
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # max_lora_rank knows only these


def vllm_settings(*, max_length: int, dtype: str, gpus: int, lora_rank: int) -> dict[str, Any]:
    """Arguments of ``vllm.LLM`` on this machine. ``lora_rank``: the adapter's largest; 0 without one.

    Raises:
        RecipeError: ``dtype`` is one that a GPU here lacks, or the rank one that vLLM does not know.
    """
    older = _before_ampere() if gpus else None
    if older and dtype == "bfloat16":
        raise RecipeError(
            f"{older} has no bfloat16", way_out="--dtype float16; in the starter kit RECIPE_DTYPE=float16"
        )
    if older and dtype == "auto":
        dtype = "float16"
    dtype = dtype if gpus else dtype_on_cpu(dtype)
    lora: dict[str, Any] = {}
    if lora_rank:
        rank = next((rank for rank in _RANKS if rank >= lora_rank), 0)
        if not rank:
            raise RecipeError(
                f"the adapters are one of rank {lora_rank} together, vLLM takes {_RANKS[-1]} at most",
                way_out="merge them first (recipe merge), then ask the merged folder",
            )
        lora = {"enable_lora": True, "max_lora_rank": rank, "max_loras": 1}
    return {
        "dtype": dtype, "max_model_len": max_length, "enable_prefix_caching": True, "enforce_eager": not gpus,
        "tensor_parallel_size": max(1, gpus), "async_scheduling": False, **lora, **({} if gpus else _ON_CPU),
        **(_BEFORE_AMPERE if older else {}),
    }  # fmt: skip


def _before_ampere() -> str | None:
    """The oldest GPU here, with its compute capability, if vLLM needs other settings for it."""
    oldest = min(this_machine().gpus, key=lambda gpu: gpu.capability, default=None)
    return f"{oldest.name} ({oldest.capability})" if oldest and oldest.capability < AMPERE else None


def dtype_on_cpu(dtype: str) -> str:
    """Of the weights, without a GPU: ``auto`` is fp32 where bf16 is slow. For the engine, where the model is loaded."""
    return "float32" if dtype == "auto" and not bf16_on_cpu() else dtype


def lacks_kernels(model: Path, gpus: int | None) -> bool:
    """Whether the model is in 4 bit and this CPU without AVX-512, where vLLM 0.32 fails once it is loaded ("'_C' object
    has no attribute 'cpu_gemm_wna16'"). ``gpus``: 0 is a CPU; None: those of a cluster, which only Ray knows.
    """
    return gpus == 0 and not bf16_on_cpu() and is_quantised(model)


def is_quantised(model: Path) -> bool:
    """Whether its weights are stored in 4 or 8 bit."""
    return "quantization_config" in read_json(model_files(str(model), ["config.json"])["config.json"])
