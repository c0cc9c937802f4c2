"""Training in fp16 (profile `1xt4`) as axolotl sets it up: what is trained is fp32, or a gradient scaler refuses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from axolotl_configs.render import parse_set, resolve
from dataset_builders.task import task_names
from recipe.smoke import pico
from spine.paths import ROOT

torch = pytest.importorskip("torch")

MODEL = ROOT / "models" / "SmolLM2-135M-Instruct"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A pico model with the embedded one's tokenizer."""
    if not MODEL.is_dir():
        pytest.fail("the embedded model is missing: make model")
    pico.write(MODEL, tmp_path / "base")
    return tmp_path / "base"


def loaded(base: Path, **more: Any) -> Any:
    """The model with its LoRA, as axolotl loads it for the profile."""
    from axolotl.loaders import ModelLoader, load_tokenizer
    from axolotl.utils.config import normalize_config, prepare_plugins, validate_config
    from axolotl.utils.dict import DictDefault

    settings = resolve("v8", "1xt4", parse_set(f"base_model={base}"), task_names()).axolotl
    config = DictDefault({**settings, **more})
    prepare_plugins(config)
    config = validate_config(config)
    normalize_config(config)
    return ModelLoader(config, load_tokenizer(config)).load()[0]


def step(model: Any) -> None:
    """One step as the trainer takes it: scaled, unscaled, clipped."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer, scaler = torch.optim.AdamW(trained), torch.amp.GradScaler("cpu")
    tokens = torch.arange(8)[None]
    with torch.autocast("cpu", torch.float16):
        loss = model(input_ids=tokens, labels=tokens).loss
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    scaler.step(optimizer)


def dtypes(model: Any, *, trained: bool) -> set[Any]:
    return {p.dtype for p in model.parameters() if p.requires_grad == trained and p.is_floating_point()}


def test_a_first_and_a_second_round_train_fp32_beside_a_base_in_fp16(base: Path, tmp_path: Path) -> None:
    first = loaded(base)
    assert dtypes(first, trained=True) == {torch.float32} and torch.float16 in dtypes(first, trained=False)
    step(first)
    first.save_pretrained(tmp_path / "adapter")
    second = loaded(base, lora_model_dir=str(tmp_path / "adapter"))
    assert dtypes(second, trained=True) == {torch.float32}
    step(second)


def test_without_the_profiles_setting_the_scaler_would_refuse(base: Path) -> None:
    with pytest.raises(ValueError, match="Attempting to unscale FP16 gradients"):
        step(loaded(base, peft_autocast_adapter_dtype=False))
