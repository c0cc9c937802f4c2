"""What a training asks of a machine, as far as `recipe train` asks before it begins; `planning` goes further."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from axolotl_configs.costs.architecture import Architecture
from spine.errors import RecipeError

_ADAM_BYTES = 8  # two fp32 moments per trained parameter
_WEIGHT_BYTES = 4  # axolotl keeps LoRA in fp32


def training_bytes(settings: Mapping[str, Any], model: Architecture) -> int:
    """Disk for the adapter and the checkpoints kept (and the one being written), without the tokenised data."""
    parameters = model.lora(settings["lora_r"])
    checkpoints = (settings.get("save_total_limit") or 4) + 1
    return parameters * (_WEIGHT_BYTES + checkpoints * (_WEIGHT_BYTES + _ADAM_BYTES))


def check_fits(settings: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Refuses lengths the model cannot take.

    Raises:
        RecipeError: ``sequence_len`` is more than the model's positions.
    """
    longest = config.get("max_position_embeddings")
    if longest and settings["sequence_len"] > longest:
        raise RecipeError(
            f"sequence_len is {settings['sequence_len']}, the model has {longest} positions",
            way_out=f'SET="sequence_len={longest}"',
        )


def rows_a_step(settings: Mapping[str, Any], gpus: int) -> int:
    """Rows that one optimiser step sees, over all GPUs; with sample_packing bins of rows."""
    micro, accumulation = settings.get("micro_batch_size", 1), settings.get("gradient_accumulation_steps", 1)
    return int(micro * accumulation * max(1, gpus))


def batch_in_words(settings: Mapping[str, Any], gpus: int) -> str:
    """What one optimiser step sees: rows, or with sample_packing bins that hold several of them."""
    of = f" of {settings['sequence_len']:,} tokens" if settings.get("sample_packing") else ""
    return f"{step_in_words(settings, gpus)}{of}"


def step_in_words(settings: Mapping[str, Any], gpus: int) -> str:
    """``32 rows``, or ``1 bin``."""
    count = rows_a_step(settings, gpus)
    return f"{count} {'bin' if settings.get('sample_packing') else 'row'}{'' if count == 1 else 's'}"


def steps(settings: Mapping[str, Any], gpus: int, rows: int) -> int:
    """Optimiser steps at most: rows that share a slot (sample_packing) make fewer."""
    passes = rows * settings.get("num_epochs", 1) / rows_a_step(settings, gpus)
    return int(settings.get("max_steps") or math.ceil(passes))
