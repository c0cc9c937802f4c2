"""Hours of a training, from shapes, lengths and two shares of what a GPU can do. Sources: docs/formulae.md.

A micro batch goes through the model two or three times: forward, backward, and with checkpointing forward once more.
Each pass multiplies (its tokens' FLOPs) and unpacks the 4-bit weights (bytes, however few tokens there are): with
short rows and one row at a time the second is the larger part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from axolotl_configs.costs.architecture import Architecture
from axolotl_configs.costs.batches import Lengths, held_out_batches, training_batches
from axolotl_configs.costs.memory import NF4, in_fp32, zero_stage

# Share of the peak FLOPs that a further token reaches: from the published speeds of Qwen-72B's Q-LoRA on one A100,
# rows of 2,048 to 8,192 tokens (github.com/QwenLM/Qwen, README, "Profiling of Memory and Speed").
COMPUTE_SHARE = 0.63
# Share of the memory's bandwidth that the passes over the weights reach, with all that the formula leaves out (kernels'
# launches, communication): calibrated so that v8 takes the winners' 24 h on 8 x A100.
BANDWIDTH_SHARE = 0.45
# A second, on two cores. In bf16: 85 steps of v8, 4.1 s each, on a Xeon with AMX. In fp32, which a CPU without AVX-512
# takes: 7.3 s a step of v8 on an EPYC with AVX2, profile cpu-fast.
CPU_FLOPS = {"bf16": 1.7e11, "fp32": 9.7e10}


@dataclass(frozen=True)
class Gpu:
    """``flops`` a second in bf16; ``bandwidth`` of its memory and ``link`` to other GPUs in bytes a second."""

    name: str
    flops: float
    bandwidth: float
    link: float


@dataclass(frozen=True)
class Duration:
    """Of one training.

    Attributes:
        steps: of the optimiser.
        tokens: of all rows, once for each epoch; ``padded``: with padding.
        micro_batches: one after another, on each GPU.
        rows_a_step: on average, over all GPUs.
        seconds: ``computing`` + ``moving`` + ``looking`` (at the held-out rows).
        computing, moving: of multiplying and of unpacking weights, in training's micro batches.
    """

    steps: int
    tokens: float
    padded: float
    micro_batches: int
    rows_a_step: float
    computing: float
    moving: float
    looking: float

    @property
    def seconds(self) -> float:
        return self.computing + self.moving + self.looking


def duration(
    settings: Mapping[str, Any], model: Architecture, rows: int, val_rows: int, lengths: Lengths, gpus: int,
    gpu: Gpu | None,
) -> Duration:  # fmt: skip
    """Of a training on ``gpus`` of ``gpu``; without any, on a CPU."""
    count, batches = training_batches(settings, rows, lengths, gpus)
    seen = min(batches.micro_batches * batches.rows * max(1, gpus), rows * settings.get("num_epochs", 1))
    computing, moving = _seconds(settings, model, batches.tokens, batches.context, gpus, gpu)
    look = held_out_batches(settings, val_rows, lengths, gpus)
    forward = _seconds(settings, model, look.tokens, look.context, gpus, gpu, training=False)
    return Duration(
        count, seen * lengths.mean, batches.micro_batches * batches.tokens * max(1, gpus), batches.micro_batches,
        batches.rows * settings.get("gradient_accumulation_steps", 1) * max(1, gpus),
        batches.micro_batches * computing, batches.micro_batches * moving,
        look.micro_batches * _looks(settings, count) * sum(forward),
    )  # fmt: skip


def _seconds(
    settings: Mapping[str, Any], model: Architecture, tokens: float, context: float, gpus: int, gpu: Gpu | None,
    *, training: bool = True,
) -> tuple[float, float]:  # fmt: skip
    """Seconds of one micro batch on each GPU: multiplying, and moving weights."""
    again = bool(settings.get("gradient_checkpointing"))
    flops = tokens * token_flops(model, settings["lora_r"], context, again=again, training=training)
    if gpu is None:
        return flops / CPU_FLOPS["fp32" if in_fp32(settings) else "bf16"], 0.0
    passes = (3 if again else 2) if training else 1
    stored = NF4 if settings.get("load_in_4bit") else 1.0 if settings.get("load_in_8bit") else 0.0
    moved = (stored + (4 if stored else 2)) * model.linear  # read packed, write and read again in bf16
    seconds = moved / (BANDWIDTH_SHARE * gpu.bandwidth)
    if zero_stage(settings) == 3:
        seconds += (stored or 2) * model.linear * (gpus - 1) / gpus / gpu.link
    return flops / (COMPUTE_SHARE * gpu.flops), passes * seconds


def token_flops(model: Architecture, rank: int, context: float, *, again: bool = True, training: bool = True) -> float:
    """FLOPs of one token that sees ``context`` others: on average, half of its row.

    A product with n weights is 2n forward and 2n back to its input; only LoRA's weights have gradients, 2n more. The
    scores of attention are ``4 * context * q`` a layer forward (arXiv 2204.02311, appendix B), twice that back.
    ``again``: the layers run forward a second time, the head does not.
    """
    lora, attention = model.lora(rank), 4 * model.layers * model.q * context
    layers = 2 * (model.linear + lora) + attention
    if not training:
        return layers + 2 * model.table
    back = layers + attention + 2 * lora
    return layers + back + 4 * model.table + (layers if again else 0)


def _looks(settings: Mapping[str, Any], count: int) -> int:
    """How often the held-out rows are scored: before the first step, and every ``eval_steps`` (a share if below 1)."""
    every = settings.get("eval_steps")
    if not every:
        return 0
    return 1 + int(1 / every if every < 1 else count / every)
