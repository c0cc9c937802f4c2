"""GPU memory of a training, part by part, from shapes alone. Every formula with its source: docs/formulae.md.

Bytes are of the worst moment on one GPU: a micro batch whose rows are all ``sequence_len`` long. They are checked
against what PyTorch allocates in one step of the same model (tests/train_env/test_memory.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from axolotl_configs.costs.architecture import Architecture
from spine.checkpoint import read_json
from spine.errors import RecipeError
from spine.paths import ROOT

# NF4 with double quantisation (QLoRA, arXiv 2305.14314, section 3): 4 bits, and 0.127 bits of scales: one of 8 bits for
# 64 weights, and one of 32 for 256 of those.
SCALES = 1 / 64 + 4 / (64 * 256)
NF4 = 0.5 + SCALES
_LOGIT = (
    12  # bytes: log-probabilities, their gradient, the logits' gradient, in fp32, all alive when the loss goes back
)
_CONTEXT = 1.0e9  # CUDA's own; assumed. NCCL is given as much again
_FRAGMENTED = 0.05  # of all; assumed
_BUCKETS = 2  # of gradients on their way: overlap_comm keeps two
_LIVE = 1e9  # elements that ZeRO-3 keeps gathered (stage3_max_live_parameters), each of 2 bytes


@dataclass(frozen=True)
class Part:
    """``why``: the formula, in words."""

    name: str
    nbytes: float
    why: str


def gpu_parts(settings: Mapping[str, Any], model: Architecture, gpus: int) -> list[Part]:
    """What lies in one GPU's memory when it is fullest.

    Raises:
        RecipeError: see ``zero_stage``.
    """
    parts = [*_weights(settings, model, gpus), *_adapter(settings, model, gpus), *_activations(settings, model)]
    held = sum(part.nbytes for part in parts)
    context = _CONTEXT * (2 if gpus > 1 else 1)
    why = (
        f"CUDA{' and NCCL' if gpus > 1 else ''} {context / 1e9:.0f} GB, {_FRAGMENTED:.0%} lost between blocks; assumed"
    )
    return [*parts, Part("reserve", context + _FRAGMENTED * held, why)]


def loading_bytes(settings: Mapping[str, Any], model: Architecture, gpus: int) -> float:
    """While the model is loaded.

    transformers gives every GPU all of a quantised base, ZeRO-3 or not (``needs_zero3_init`` in modeling_utils.py,
    5.16). Then PEFT casts to fp32 what is not quantised (``prepare_model_for_kbit_training``), until axolotl casts it
    back; with ZeRO-3 axolotl leaves that out.
    """
    each, zero3 = _linear(settings), zero_stage(settings) == 3
    quantised = each < 2
    weights = each * model.linear + (4 if quantised and not zero3 else 2) * model.others
    if zero3 and not quantised:
        weights /= gpus
    return weights + _CONTEXT * (2 if gpus > 1 else 1)


def cpu_parts(settings: Mapping[str, Any], model: Architecture) -> list[Part]:
    """The memory of a training without a GPU: the same, and what Python and the allocator take.

    Rows of many lengths: the allocator keeps blocks of every length it has met, and 8.6 GiB were measured where the
    parts before came to 3.1. Bins that are padded to one length: 3.0 GiB where the parts come to 1.5 (blend v8).
    """
    parts = [*_weights(settings, model, 1), *_adapter(settings, model, 1), *_activations(settings, model, cpu=True)]
    if settings.get("load_in_4bit"):
        each = _width(settings)
        parts.append(Part("unpacked layers", float(each * model.linear), f"once, {each} bytes each (on_cpu.py)"))
    if settings.get("sample_packing") and settings.get("pad_to_sequence_len"):
        return [*parts, Part("reserve", 2e9, "torch and axolotl 2 GB; measured on one run")]
    activations = sum(part.nbytes for part in parts if part.name in ("activations", "loss"))
    why = "torch and axolotl 2 GB; blocks the allocator keeps, 1.5 x activations and loss; measured on one run"
    return [*parts, Part("reserve", 2e9 + 1.5 * activations, why)]


def zero_stage(settings: Mapping[str, Any]) -> int:
    """0 (every GPU holds all of it) to 3, of the DeepSpeed file that the settings name.

    Raises:
        RecipeError: no such file, or the model is split in a way that is not known here (FSDP).
    """
    if settings.get("fsdp") or settings.get("fsdp_config"):
        raise RecipeError("how FSDP splits a model is not known to the plan", way_out="deepspeed, or one GPU")
    name = settings.get("deepspeed")
    if not name:
        return 0
    if isinstance(name, Mapping):
        return int(name.get("zero_optimization", {}).get("stage", 0))
    return int(read_json(ROOT / str(name)).get("zero_optimization", {}).get("stage", 0))


def in_fp32(settings: Mapping[str, Any]) -> bool:
    """Whether what is not quantised is computed in fp32: bf16 is off, and fp16 not on."""
    return settings.get("bf16") is False and not settings.get("fp16")


def _width(settings: Mapping[str, Any]) -> int:
    """Bytes of a number that is not quantised."""
    return 4 if in_fp32(settings) else 2


def _precision(settings: Mapping[str, Any]) -> str:
    return "fp16" if settings.get("fp16") else "fp32" if in_fp32(settings) else "bf16"


def _linear(settings: Mapping[str, Any]) -> float:
    """Bytes of a weight of the linear layers."""
    if settings.get("load_in_4bit"):
        return NF4
    return 1.0 if settings.get("load_in_8bit") else float(_width(settings))


def _weights(settings: Mapping[str, Any], model: Architecture, gpus: int) -> list[Part]:
    each, stage = _linear(settings), zero_stage(settings)
    kind = "NF4" if settings.get("load_in_4bit") else f"{each:.0f} bytes"
    linear, others = each * model.linear, float(_width(settings) * model.others)
    if stage < 3:
        return [
            Part("linear layers", linear, f"{model.linear / 1e9:.2f} G weights in {kind}, {each:.3f} bytes each"),
            Part("embeddings, head, norms", others, f"{model.others / 1e9:.2f} G in {_precision(settings)}"),
        ]
    scales = SCALES * model.linear if settings.get("load_in_4bit") else 0.0  # no parameters: ZeRO does not split them
    gathered = 2 * min(_LIVE, (linear - scales) / 2) + 2 * model.table
    return [
        Part("linear layers", (linear - scales) / gpus + scales, f"{kind}, split over {gpus}; the scales are not"),
        Part("embeddings, head, norms", others / gpus, f"bf16, split over {gpus}"),
        Part("gathered weights", gathered, "up to 1 G elements of layers at work, and the head"),
    ]


def _adapter(settings: Mapping[str, Any], model: Architecture, gpus: int) -> list[Part]:
    """Weights, gradients and optimiser state of LoRA.

    Without DeepSpeed in fp32 with a bf16 copy that autocast makes; with it in bf16, and a master copy in fp32 beside
    the optimiser's moments (ZeRO, arXiv 1910.02054, section 3.1).
    """
    count, stage = model.lora(settings["lora_r"]), zero_stage(settings)
    moments = _moments(str(settings.get("optimizer", "")))
    if not settings.get("deepspeed"):
        copy = "" if in_fp32(settings) else ", and a copy in bf16"
        return [
            Part("LoRA weights", (6.0 if copy else 4.0) * count, f"{count / 1e6:.0f} M in fp32{copy}"),
            Part("LoRA gradients", 4.0 * count, "fp32"),
            Part("optimiser", float(moments * count), f"two moments, {moments} bytes"),
        ]
    over = {number: gpus if stage >= number else 1 for number in (1, 2, 3)}  # the stage that splits -> among how many
    buckets = _BUCKETS * 2 * model.hidden**2 if stage >= 2 else 0
    return [
        Part("LoRA weights", 2.0 * count / over[3], f"{count / 1e6:.0f} M in bf16, over {over[3]}"),
        Part("LoRA gradients", 4.0 * count / over[2] + buckets, f"fp32 over {over[2]}, ZeRO-{stage}"),
        Part("optimiser", (4.0 + moments) * count / over[1], f"fp32 copy and two moments over {over[1]}"),
    ]


def _moments(optimizer: str) -> int:
    """Bytes of Adam's two moments: fp32, or 8 bit (arXiv 2110.02861)."""
    return 2 if "8bit" in optimizer else 8


def _activations(settings: Mapping[str, Any], model: Architecture, *, cpu: bool = False) -> list[Part]:
    """What the backward pass needs of the forward pass.

    With checkpointing each layer keeps its input alone and is run again when the gradient reaches it (arXiv
    1604.06174); one layer's tensors are then alive, with the weight that is dequantised for it. The loss's tensors are
    gone by then, so the larger of the two counts.
    """
    tokens, width = settings.get("micro_batch_size", 1) * settings["sequence_len"], _width(settings)
    layer = tokens * layer_bytes(settings, model, cpu=cpu)
    working = (width * model.hidden * model.inner if _linear(settings) < 2 else 0) + 8 * model.hidden * tokens
    loss = _LOGIT * tokens * model.vocabulary + 8 * model.hidden * tokens
    if not settings.get("gradient_checkpointing"):
        return [
            Part("activations", model.layers * layer, f"{model.layers} layers, {tokens:,} tokens"),
            Part("loss", float(max(loss, working)), f"{_LOGIT} bytes a logit"),
        ]
    kept = float(width * model.layers * model.hidden * tokens)
    if loss >= layer + working:
        second = Part("loss", float(loss), f"{_LOGIT} bytes a logit; more than one layer at work")
    else:
        second = Part("layer at work", layer + working, "one layer run again, its largest weight unpacked")
    return [
        Part("activations", kept, f"inputs of {model.layers} layers, {tokens:,} tokens in {_precision(settings)}"),
        second,
    ]


def layer_bytes(settings: Mapping[str, Any], model: Architecture, *, cpu: bool = False) -> float:
    """What one layer saves for its backward pass, in bytes a token.

    Korthikanti et al. (arXiv 2205.05198, section 4) for GPT's layer; this is the same count for a layer with RMSNorm,
    grouped heads, SwiGLU, fused attention, frozen linear layers, which save nothing, and LoRA on all of them.
    """
    m, rank, width = model, settings["lora_r"], _width(settings)
    norms = 2 * (4 * m.hidden + 4)  # x in fp32, and its root mean square
    attention = width * (2 * m.q + 2 * m.kv) + 4 * m.heads  # q, k, v and what comes out; log-sum-exp
    mlp = 3 * width * m.inner  # gate, its SiLU, up
    each = 5 * m.hidden + m.q + m.inner  # inputs of q k v gate up, of o, of down
    inputs = width * (2 * m.hidden + m.inner)  # for q k v, for gate and up; o's came out of attention
    if settings.get("lora_dropout"):
        inputs = (width + (4 if cpu else 1)) * each  # dropped out, and the mask: a byte, on a CPU fp32
    return float(norms + attention + mlp + inputs + 7 * width * rank)
