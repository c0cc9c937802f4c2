"""What ``recipe inspect`` tells of a folder or a file, from headers alone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from postprocess.inspect import inspect
from recipe.commands import root
from spine.checkpoint import SINGLE, header_bytes
from spine.errors import RecipeError
from spine.manifest import Step
from tests.postprocess.checkpoints import (
    HIDDEN,
    VOCABULARY,
    WIDTH,
    adapter_shapes,
    model_shapes,
    write_adapter,
    write_model,
    write_tensors,
)

Q = "base_model.model.model.layers.0.self_attn.q_proj"


def test_a_model(tmp_path: Path) -> None:
    found = inspect(write_model(tmp_path / "model", 3))
    assert found.kind == "model"
    assert found.facts["architecture"] == "LlamaForCausalLM" and found.facts["files"] == "3"
    assert found.facts["sizes"] == f"hidden size {HIDDEN}, intermediate size {WIDTH}, vocab size {VOCABULARY}"
    assert found.facts["head"] == "its own" and "padding" not in found.facts
    assert found.facts["tensors"] == str(len(model_shapes())) and "F32 100.0%" in found.facts["bytes"]
    assert ("model.layers.*.mlp.up_proj.weight", 2, "F32", f"{WIDTH} x {HIDDEN}") in found.groups


def test_who_made_it(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", tie_word_embeddings=True)
    Step(model, "merge", {"a": 1}).finish([SINGLE])
    facts = inspect(model).facts
    assert facts["made by"].startswith("recipe merge, 2") and len(facts["key"]) == 16
    assert facts["head"] == "tied to the embedding"


@pytest.mark.parametrize("zeros", [0, 4, WIDTH])
def test_padding_is_seen_in_the_weights(zeros: int, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    path = model / SINGLE
    shapes = model_shapes()
    header, begins = header_bytes({name: ("F32", shape) for name, shape in shapes.items()})
    raw = bytearray(path.read_bytes())
    end = begins["model.layers.0.mlp.gate_proj.weight"] + 4 * WIDTH * HIDDEN
    raw[end - 4 * zeros * HIDDEN : end] = bytes(4 * zeros * HIDDEN)
    path.write_bytes(raw)
    assert len(header) < end
    told = inspect(model).facts.get("padding")
    assert told == (f"{zeros} of {WIDTH} (the MLPs are {WIDTH - zeros} wide without)" if zeros else None)


def test_a_quantised_model(tmp_path: Path) -> None:
    """Eight numbers to a word; the last two words of each row are padding."""
    name = "model.layers.0.mlp.gate_proj"
    parts = {f"{name}.qweight": ("I32", (8, 6)), f"{name}.qzeros": ("I32", (1, 6)), f"{name}.scales": ("F16", (1, 48))}
    stated = {"quant_method": "awq", "bits": 4, "group_size": 8, "version": "gemm", "zero_point": True}
    model = write_model(tmp_path / "model", quantization_config=stated)
    row = (b"\x11" * 16 + bytes(8)) * 8
    (model / SINGLE).write_bytes(header_bytes(parts)[0] + row + bytes(24 + 96))
    found = inspect(model)
    assert found.kind == "quantised model (awq)" and "bits 4, group_size 8, version gemm" in found.facts["quantisation"]
    assert found.facts["padding"] == "16 of 48 (the MLPs are 32 wide without)"


@pytest.mark.parametrize(
    ("more", "config", "expected"),
    [
        ({}, {}, {"rank": "2", "scale": "2", "modules": "2 down_proj, 2 q_proj", "trained in full": "nothing"}),
        ({}, {"use_rslora": True}, {"scale": "2.82843 (rsLoRA)", "wise-ft weight": "any"}),
        ({}, {"alpha_pattern": {"q_proj": 1}}, {"scale": "0.5, 2", "base": "a-base"}),
        ({"base_model.model.lm_head.weight": (16, 8)}, {}, {"trained in full": "lm_head.weight"}),
    ],
)
def test_an_adapter(
    more: dict[str, tuple[int, ...]], config: dict[str, Any], expected: dict[str, str], tmp_path: Path
) -> None:
    found = inspect(write_adapter(tmp_path / "adapter", adapter_shapes() | more, **config))
    assert found.kind == "adapter (LoRA)" and expected.items() <= dict(found.facts).items()


def test_dora_says_that_it_has_no_weights(tmp_path: Path) -> None:
    found = inspect(write_adapter(tmp_path / "a", adapter_shapes() | {f"{Q}.lora_magnitude_vector": (HIDDEN,)}))
    assert found.kind == "adapter (DoRA)" and found.facts["wise-ft weight"].startswith("1 only")


def test_a_file_and_what_is_none_of_these(tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "x.safetensors", {"a.1.b": (2, 3), "a.22.b": (2, 3), "c": ()})
    found = inspect(path)
    assert found.kind == "safetensors file" and found.facts["says format"] == "pt"
    assert sorted(found.groups) == [("a.*.b", 2, "F32", "2 x 3"), ("c", 1, "F32", "scalar")]
    with pytest.raises(RecipeError, match="neither a safetensors file nor a folder"):
        inspect(tmp_path)
    (tmp_path / "y").write_text("words")
    with pytest.raises(RecipeError, match="not a safetensors file"):
        inspect(tmp_path / "y")


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(root, ["inspect", *arguments])


def test_the_command_prints_tables_and_checksums(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", 2)
    shown = run(str(model), "--checksum")
    assert shown.exit_code == 0, shown.output
    for part in ("LlamaForCausalLM", "model.layers.*.self_attn.q_proj.weight", f"{WIDTH} x {HIDDEN}", "its own"):
        assert part in shown.output
    for file in model.glob("*.safetensors"):
        assert f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}" in shown.output
    assert "checksum" not in run(str(model)).output
    (model / "config.json").write_text(json.dumps([]))
    assert isinstance(run(str(model)).exception, RecipeError)


def test_an_adapter_that_cannot_be_merged_is_shown(tmp_path: Path) -> None:
    found = inspect(write_adapter(tmp_path / "adapter", adapter_shapes(), layer_replication=[[0, 1]]))
    assert "it runs layers of the base several times" in found.facts["merges"] and found.groups
