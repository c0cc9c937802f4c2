"""Sizes from a model's config.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from axolotl_configs.costs.architecture import Architecture, model_config
from axolotl_configs.costs.estimate import check_fits, rows_a_step, steps, training_bytes
from spine.errors import RecipeError

SMOLLM2 = {
    "hidden_size": 576, "intermediate_size": 1536, "num_attention_heads": 9, "num_key_value_heads": 3,
    "num_hidden_layers": 30, "head_dim": 64, "max_position_embeddings": 8192, "vocab_size": 49152,
    "tie_word_embeddings": True,
}  # fmt: skip


def test_lora_parameters_are_those_of_the_real_adapter() -> None:
    # The adapter of r=64 on all linear layers of SmolLM2-135M has 78,207,176 bytes with a header of 47,240 (measured).
    assert Architecture.of(SMOLLM2).lora(64) * 4 == pytest.approx(78_207_176, rel=0.001)


def test_parameters_are_those_the_models_are_known_to_have() -> None:
    known = {
        "Qwen/Qwen2-72B-Instruct": 72_706_203_648, "Qwen/Qwen2-7B-Instruct": 7_615_616_512,
        "Qwen/Qwen2-1.5B-Instruct": 1_543_714_304, "Qwen/Qwen2-0.5B-Instruct": 494_032_768,
        "models/SmolLM2-135M-Instruct": 134_515_008, "HuggingFaceTB/SmolLM2-360M-Instruct": 361_821_120,
        "HuggingFaceTB/SmolLM2-1.7B-Instruct": 1_711_376_384,
    }  # fmt: skip
    assert {name: Architecture.of(model_config(name)).parameters for name in known} == known


def test_a_config_is_the_users_file_before_it_is_anything_else(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMOLLM2))
    assert model_config("Qwen/Qwen2-72B-Instruct", tmp_path / "config.json") == SMOLLM2
    assert model_config(str(tmp_path)) == SMOLLM2
    with pytest.raises(RecipeError, match="no such model folder\n  -> --model-config"):
        model_config("/no/such/folder")
    with pytest.raises(RecipeError, match="is no such: KeyError"):
        Architecture.of({"hidden_size": 576})


def test_disk_counts_every_checkpoint_kept_and_the_one_being_written() -> None:
    model = Architecture.of(SMOLLM2)
    one = training_bytes({"lora_r": 64, "save_total_limit": 1}, model)
    two = training_bytes({"lora_r": 64, "save_total_limit": 2}, model)
    assert two - one == model.lora(64) * 12


def test_steps_are_counted_over_all_gpus() -> None:
    settings = {"micro_batch_size": 2, "gradient_accumulation_steps": 4, "num_epochs": 3}
    assert (rows_a_step(settings, 8), rows_a_step(settings, 0)) == (64, 8)
    assert steps(settings, 8, 100) == 5 and steps({**settings, "max_steps": 7}, 8, 100) == 7


def test_a_sequence_longer_than_the_model_is_refused() -> None:
    check_fits({"sequence_len": 8192}, SMOLLM2)
    with pytest.raises(RecipeError, match="the model has 8192 positions"):
        check_fits({"sequence_len": 8193}, SMOLLM2)
