"""A model's first layers as a model of its own: the very bytes, in a folder that reads as any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from postprocess.slice import slice_adapter, slice_model
from spine.adapter import CONFIG, WEIGHTS, open_adapter
from spine.checkpoint import Tensor, open_checkpoint
from spine.errors import RecipeError
from tests.postprocess.checkpoints import HIDDEN, model_shapes, write_model, write_tensors


def content(tensor: Tensor) -> bytes:
    return tensor.file.read_bytes()[tensor.begin : tensor.begin + tensor.nbytes]


@pytest.mark.parametrize("shards", [1, 3])
def test_a_models_first_layers(tmp_path: Path, shards: int) -> None:
    more = {"num_hidden_layers": 12, "layer_types": ["full_attention"] * 12}
    model = write_model(tmp_path / "model", shards, shapes=model_shapes(12), **more)
    (model / "tokenizer.json").write_text("{}")
    (model / "manifest.json").write_text("{}")
    nbytes = slice_model(model, tmp_path / "slice", 2)
    whole, found = open_checkpoint(model).tensors, open_checkpoint(tmp_path / "slice")
    assert found.tensors.keys() == model_shapes(2).keys() and found.nbytes == nbytes  # layer 10 is not layer 1
    assert all(content(tensor) == content(whole[name]) for name, tensor in found.tensors.items())
    assert found.config["num_hidden_layers"] == 2 and found.config["layer_types"] == ["full_attention"] * 2
    assert sorted(path.name for path in (tmp_path / "slice").iterdir()) == [
        "config.json", "model.safetensors", "tokenizer.json",
    ]  # fmt: skip


def test_a_model_with_fewer_layers_is_copied(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", num_hidden_layers=2)
    slice_model(model, tmp_path / "slice", 5)
    assert json.loads((tmp_path / "slice" / "config.json").read_text())["num_hidden_layers"] == 2
    with pytest.raises(RecipeError, match="no such model folder"):
        slice_model(tmp_path / "nothing", tmp_path / "slice", 5)


def test_what_an_adapter_changes_there(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    modules = [f"base_model.model.model.layers.{layer}.self_attn.q_proj" for layer in range(12)]
    shapes = {f"{module}.lora_A.weight": (4, HIDDEN) for module in modules}
    shapes |= {f"{module}.lora_B.weight": (HIDDEN, 4) for module in modules}
    write_tensors(adapter / WEIGHTS, shapes)
    (adapter / CONFIG).write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 8}))
    slice_adapter(adapter, tmp_path / "slice", 2)
    found = open_adapter(tmp_path / "slice")
    assert [module.name.split(".layers.")[1] for module in found.modules] == [
        "0.self_attn.q_proj",
        "1.self_attn.q_proj",
    ]
    assert all(content(module.a) for module in found.modules)
