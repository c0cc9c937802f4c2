"""Sizes from a model's config.json."""

from __future__ import annotations

import pytest

from axolotl_configs.estimate import check_fits, lora_parameters, training_bytes
from recipe.errors import RecipeError

SMOLLM2 = {
    "hidden_size": 576, "intermediate_size": 1536, "num_attention_heads": 9, "num_key_value_heads": 3,
    "num_hidden_layers": 30, "head_dim": 64, "max_position_embeddings": 8192,
}  # fmt: skip


def test_lora_parameters_are_those_of_the_real_adapter() -> None:
    # The adapter of r=64 on all linear layers of SmolLM2-135M has 78,207,176 bytes with a header of 47,240 (measured).
    assert lora_parameters(SMOLLM2, 64) * 4 == pytest.approx(78_207_176, rel=0.001)


def test_disk_counts_every_checkpoint_kept_and_the_one_being_written() -> None:
    one = training_bytes({"lora_r": 64, "save_total_limit": 1}, SMOLLM2)
    two = training_bytes({"lora_r": 64, "save_total_limit": 2}, SMOLLM2)
    assert two - one == lora_parameters(SMOLLM2, 64) * 12


def test_a_sequence_longer_than_the_model_is_refused() -> None:
    check_fits({"sequence_len": 8192}, SMOLLM2)
    with pytest.raises(RecipeError, match="the model has 8192 positions"):
        check_fits({"sequence_len": 8193}, SMOLLM2)
