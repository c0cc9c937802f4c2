"""Keys that another one beats, or is united with, in axolotl itself: the pairs that `conflicts.yaml` refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from axolotl_configs.render import parse_set, resolve
from dataset_builders.task import task_names
from spine.errors import RecipeError


def given_to_axolotl(base: Path, **keys: Any) -> Any:
    """The recipe's settings with ``keys``, unchecked by us, as axolotl has them when it has validated them."""
    from axolotl.utils.config import prepare_plugins, resolve_dtype, validate_config
    from axolotl.utils.dict import DictDefault

    settings = DictDefault({**resolve("v8", "cpu", {}, task_names()).axolotl, "base_model": str(base), **keys})
    prepare_plugins(settings)
    config = validate_config(settings)
    resolve_dtype(config)
    return config


def refused(typed: str, profile: str = "cpu") -> str:
    with pytest.raises(RecipeError) as error:
        resolve("v8", profile, parse_set(typed), task_names())
    return str(error.value)


def test_every_linear_layer_is_trained_beside_the_modules_that_are_named(base: Path) -> None:
    from axolotl.loaders.adapter import _build_peft_lora_config
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)

    def trained(**keys: Any) -> set[str]:
        config = given_to_axolotl(base, lora_target_modules=["q_proj"], **keys)
        found = _build_peft_lora_config(model, config).target_modules
        assert isinstance(found, set)
        return found

    assert trained() > {"q_proj", "down_proj"} and trained(lora_target_linear=False) == {"q_proj"}
    said = refused("lora_target_modules=[q_proj]")
    assert "SET: lora_target_linear: true adds every linear layer" in said and "lora_target_linear=false" in said
    resolve("v8", "cpu", parse_set("lora_target_modules=[q_proj] lora_target_linear=false"), task_names())


@pytest.mark.parametrize("key", ["float16", "float32"])
def test_bf16_beats_other_names_of_a_precision(key: str, base: Path) -> None:
    import torch

    assert given_to_axolotl(base, **{key: True}).torch_dtype is torch.bfloat16
    assert f"SET: {key} is beaten by bf16" in refused(f"{key}=true")
    assert "SET: bfloat16 is beaten by fp16" in refused("bfloat16=true", "1xt4")


def test_the_old_name_of_a_key_is_beaten(base: Path) -> None:
    config = given_to_axolotl(base, dataset_processes=7)
    assert config.dataset_num_proc == 1  # which alone is read
    assert "dataset_num_proc beats" in refused("dataset_processes=7")


def test_a_profiles_steps_beat_epochs(base: Path, tmp_path: Path) -> None:
    from axolotl.core.builders import HFCausalTrainerBuilder
    from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

    assert HFCausalTrainerBuilder  # which hands both on
    made = TrainingArguments(str(tmp_path), num_train_epochs=3, max_steps=6, use_cpu=True, report_to=[])
    trainer = Trainer(AutoModelForCausalLM.from_pretrained(base), made, train_dataset=[{}] * 8)  # type: ignore[arg-type]
    assert trainer.set_initial_training_values(made, trainer.get_train_dataloader())[-1] == 6
    assert "SET: max_steps=6 ends the run" in refused("num_epochs=3", "cpu-fast")
    resolve("v8", "cpu-fast", parse_set("num_epochs=3 max_steps=null"), task_names())


def test_the_template_of_a_chat_is_the_tokenizers(base: Path) -> None:
    assert "asked with its own chat template" in refused("chat_template=llama3")
    resolve("v8", "cpu", parse_set("chat_template=tokenizer_default"), task_names())


@pytest.mark.parametrize(
    ("typed", "profile", "said"),
    [
        ("sample_packing=false", "cpu", "pad_to_sequence_len: every row that is not packed would be padded"),
        ("fsdp_config={fsdp_version: 2}", "8xa100", "fsdp_config and deepspeed both split"),
        ("output_dir=/tmp/here", "cpu", "output_dir lies in the run's folder"),
    ],
)
def test_what_the_rest_of_the_recipe_beats(typed: str, profile: str, said: str) -> None:
    assert said in refused(f'"{typed}"', profile)
