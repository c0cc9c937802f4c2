"""What a training will need, from the model's config.json alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from recipe.errors import RecipeError
from recipe.models import model_files

_ADAM_BYTES = 8  # two fp32 moments per trained parameter
_WEIGHT_BYTES = 4  # axolotl keeps LoRA in fp32


def model_config(base_model: str) -> dict[str, Any]:
    """``config.json`` of a model folder or of a name on the hub."""
    found: dict[str, Any] = json.loads(model_files(base_model, ["config.json"])["config.json"].read_text())
    return found


def lora_parameters(config: Mapping[str, Any], rank: int) -> int:
    """Parameters of a LoRA of ``rank`` on all seven linear layers of a Llama or Qwen2 model.

    A pair (A, B) on a layer from ``n`` to ``m`` features has ``rank * (n + m)`` parameters.
    """
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads = config["num_attention_heads"]
    head = config.get("head_dim") or hidden // heads
    q, kv = heads * head, config.get("num_key_value_heads", heads) * head
    per_layer = 2 * (hidden + q) + 2 * (hidden + kv) + 3 * (hidden + inner)
    return int(rank * per_layer * config["num_hidden_layers"])


def training_bytes(settings: Mapping[str, Any], config: Mapping[str, Any]) -> int:
    """Disk for the adapter and the checkpoints kept (and the one being written), without the tokenised data."""
    parameters = lora_parameters(config, settings["lora_r"])
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
