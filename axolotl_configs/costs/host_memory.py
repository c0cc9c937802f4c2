"""Memory of the machine (not of its GPUs) in every step: what processes hold beside the files that they map.

A file that is mapped, the base's safetensors say, is in the page cache: processes share it, and the system takes it
back when it needs the room. Sources: docs/formulae.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from axolotl_configs.costs.architecture import Architecture
from axolotl_configs.costs.memory import Part

_PROCESS = 4e9  # Python, torch, CUDA and its buffers in one process on a GPU; assumed. Without CUDA:
_ON_CPU = 0.75 * 2**30  # `import axolotl` or gptqmodel with what they bring, libraries included; measured
_STREAMED = 0.16 * 2**30  # merging and padding, block by block; measured for 3 GB and 12 GB (README.md)
_TEXTS = 96 * 512  # tokens of calibration, at most (docs/awq.md)
_HELD_OUT = 3 * 40 * 512  # of the gate: three versions of 40 texts
_LAYERS = 3  # in bf16 that gptqmodel has in memory at once: the one at work, copies of its weights; measured
_KERNELS = 2e9  # of vLLM on a CPU, compiled; assumed
_KV_CACHE = 2**30  # of vLLM on a CPU: VLLM_CPU_KVCACHE_SPACE in inference/answering/engines/settings.py


@dataclass(frozen=True)
class Machine:
    """The machine that is planned for.

    Attributes:
        memory_gib: None: not known.
        here: whether it is this one; otherwise what such machines usually have.
        what: in words, where the memory is from.
    """

    memory_gib: float | None
    here: bool
    what: str


@dataclass(frozen=True)
class Work:
    """``backend``: of the 4-bit export; ``serving``: GPUs that an answering model is split over."""

    gpus: int
    backend: str
    serving: int


def host_parts(work: Work, model: Architecture, training: float) -> Iterator[Part]:
    """Bytes of the machine's memory in each step.

    Args:
        training: of a training without a GPU (``memory.cpu_parts``).
    """
    yield _loading(work, model) if work.gpus else Part("train", training, "the table above")
    why = "block by block, however large the model"
    yield Part("merge, pad", _STREAMED + (_PROCESS if work.gpus else 0), why + _assumed(work))
    yield _export(work, model)
    yield _gate(work, model)
    yield _answering(work, model)


def _loading(work: Work, model: Architecture) -> Part:
    """transformers 5.16 quantises tensor by tensor, from mapped files straight to the GPU (core_model_loading.py)."""
    tensor = 2.0 * max(model.table, model.hidden * model.inner)
    why = (
        f"{work.gpus} x ({_PROCESS / 1e9:.0f} GB, assumed, and the largest tensor in bf16); the base is mapped, shared"
    )
    return Part("train", work.gpus * (_PROCESS + tensor), why)


def _export(work: Work, model: Architecture) -> Part:
    process = _PROCESS if work.gpus else _ON_CPU
    layer = 2.0 * model.linear / model.layers
    whole = process + 2.0 * model.parameters + layer
    if work.backend == "autoawq":
        return Part("awq", whole, f"AutoAWQ loads all of it in 16 bit{_assumed(work)}")
    size = process + 2.0 * model.others + _LAYERS * layer + 2.0 * _TEXTS * model.hidden
    why = f"gptqmodel: {_LAYERS} layers and the ends in bf16, texts{_assumed(work)}; AutoAWQ: {whole / 2**30:.1f}"
    return Part("awq", size, why)


def _gate(work: Work, model: Architecture) -> Part:
    """``postprocess.awq.quality``: weights are widened on the machine, then go to the GPU where there is one."""
    head, layer = 4.0 * model.table, 4.0 * model.linear / model.layers
    if work.gpus:
        size = _PROCESS + head + 3 * 4.0 * model.hidden * model.inner
        return Part("awq: gate", size, f"the head in fp32, one weight unpacked{_assumed(work)}")
    size = _ON_CPU + 2 * head + 3 * layer + 4.0 * _HELD_OUT * model.hidden
    return Part("awq: gate", size, "two heads and three layers in fp32, texts")


def _answering(work: Work, model: Architecture) -> Part:
    if work.gpus:
        processes = work.serving + 1
        why = f"vLLM: {processes} x {_PROCESS / 1e9:.0f} GB, assumed; the weights are mapped"
        return Part("eval, serve", processes * _PROCESS, why)
    size = _ON_CPU + 2.0 * model.parameters + _KV_CACHE + _KERNELS
    return Part("eval, serve", size, "vLLM: the model in bf16, 1 GiB of KV cache; 2 GB for its kernels, assumed")


def _assumed(work: Work) -> str:
    return f"; {_PROCESS / 1e9:.0f} GB, assumed" if work.gpus else ""
