"""Adapters from their config and header alone: scales, names, and what cannot be merged."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from spine.adapter import open_adapter
from spine.errors import RecipeError
from tests.postprocess.checkpoints import HIDDEN, VOCABULARY, adapter_shapes, write_adapter

AT = "base_model.model."


def test_factors_and_scales(tmp_path: Path) -> None:
    adapter = open_adapter(write_adapter(tmp_path / "a"))
    assert {module.name for module in adapter.modules} == {
        f"model.layers.{layer}.{name}" for layer in (0, 1) for name in ("self_attn.q_proj", "mlp.down_proj")
    }
    assert all(module.scale == 2 and module.rank == 2 and not module.embedding for module in adapter.modules)
    assert adapter.linear and not adapter.full and adapter.ranks == (2,)
    rooted = open_adapter(write_adapter(tmp_path / "b", use_rslora=True))
    assert rooted.modules[0].scale == pytest.approx(4 / math.sqrt(2))


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ({}, (2.0, 2.0)),
        ({"alpha_pattern": {"q_proj": 1}}, (0.5, 2.0)),
        ({"alpha_pattern": {"layers.0.self_attn.q_proj": 6, "q_proj": 1}}, (3.0, 2.0)),  # the first that matches
        ({"alpha_pattern": {"roj": 9}}, (2.0, 2.0)),  # whole parts of the name only
        ({"alpha_pattern": {r".*\.0\..*": 8}}, (4.0, 4.0)),
        ({"rank_pattern": {"q_proj": 2, "down_proj": 2}, "r": 64}, (2.0, 2.0)),
        ({"rank_pattern": None, "alpha_pattern": None}, (2.0, 2.0)),
    ],
)
def test_patterns_as_peft_reads_them(patterns: dict[str, Any], expected: tuple[float, float], tmp_path: Path) -> None:
    adapter = open_adapter(write_adapter(tmp_path / "a", **patterns))
    found = {module.name: module.scale for module in adapter.modules}
    assert (found["model.layers.0.self_attn.q_proj"], found["model.layers.0.mlp.down_proj"]) == expected


def test_a_pattern_of_somebody_else_takes_no_time_and_may_be_none(tmp_path: Path) -> None:
    endless = {r"((\w+)+\.)*(.*a)*(.*a)*!": 9, "q_proj": 1}
    assert open_adapter(write_adapter(tmp_path / "a", alpha_pattern=endless)).modules[0].rank == 2
    with pytest.raises(RecipeError, match=r"adapter_config.json: Invalid regular expression"):
        open_adapter(write_adapter(tmp_path / "b", alpha_pattern={"(": 1}))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lm_head.weight", {"lm_head.weight"}),
        ("lm_head.modules_to_save.weight", {"lm_head.weight"}),
        ("lm_head.modules_to_save.default.weight", {"lm_head.weight"}),
        ("model.embed_tokens.base_layer.weight", {"model.embed_tokens.weight"}),
        ("model.layers.0.self_attn.q_proj.base_layer.bias", {"model.layers.0.self_attn.q_proj.bias"}),
        ("lm_head.original_module.weight", set()),
    ],
)
def test_names_of_what_is_trained_in_full(name: str, expected: set[str], tmp_path: Path) -> None:
    adapter = open_adapter(write_adapter(tmp_path / "a", adapter_shapes() | {AT + name: (VOCABULARY, HIDDEN)}))
    assert set(adapter.full) == expected


def test_embedding_bias_and_magnitude(tmp_path: Path) -> None:
    at = AT + "model.embed_tokens"
    shapes = adapter_shapes() | {f"{at}.lora_embedding_A": (2, VOCABULARY), f"{at}.lora_embedding_B": (HIDDEN, 2)}
    q = AT + "model.layers.0.self_attn.q_proj"
    shapes |= {f"{q}.lora_B.bias": (HIDDEN,), f"{q}.lora_magnitude_vector": (HIDDEN,)}
    adapter = open_adapter(write_adapter(tmp_path / "a", shapes))
    found = {module.name: module for module in adapter.modules}
    assert found["model.embed_tokens"].embedding and not adapter.linear
    layer = found["model.layers.0.self_attn.q_proj"]
    assert layer.bias and layer.magnitude and layer.bias.shape == layer.magnitude.shape == (HIDDEN,)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"peft_type": "IA3"}, "is a IA3 adapter; only LoRA adds"),
        ({"peft_type": None}, "only LoRA adds"),
        ({"r": None}, "is broken: r: "),
        ({"lora_alpha": "16"}, "is broken: lora_alpha: "),
        ({"layer_replication": [[0, 2], [1, 3]]}, "layer_replication: it runs layers"),
        ({"target_parameters": ["experts.down_proj"]}, "target_parameters: .*experts"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices: it holds single rows"),
        ({"trainable_token_indices": {"embed_tokens": [1]}}, "trainable_token_indices"),
        ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens"),
        ({"use_qalora": True}, "use_qalora"),
        ({"use_bdlora": {"nblocks": 2}}, "use_bdlora"),
        ({"arrow_config": {"top_k": 2}}, "arrow_config"),
        ({"monteclora_config": {"num_samples": 2}}, "monteclora_config"),
        ({"init_lora_weights": "pissa"}, "pissa: the factors belong to a base that was changed"),
        ({"init_lora_weights": "pissa_niter_16"}, "pissa_niter_16"),
        ({"init_lora_weights": "PiSSA"}, "pissa"),
        ({"init_lora_weights": "olora"}, "olora"),
        ({"init_lora_weights": "corda"}, "corda"),
        ({"init_lora_weights": "loftq"}, "loftq"),
        ({"init_lora_weights": "lora_ga"}, "lora_ga"),
        ({"r": 4}, r"(?s)says rank 4.*different trainings"),
    ],
)
def test_what_cannot_be_merged_is_refused_with_the_reason(config: dict[str, Any], said: str, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a", **config)
    with pytest.raises(RecipeError, match=said):
        open_adapter(folder)


@pytest.mark.parametrize("start", [True, False, "gaussian", "eva", "orthogonal"])
def test_starts_that_leave_the_base_alone(start: Any, tmp_path: Path) -> None:
    config = {"init_lora_weights": start, "layer_replication": None, "loftq_config": {}, "use_qalora": False}
    assert open_adapter(write_adapter(tmp_path / "a", **config)).linear


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ({"x.lora_A.weight": (2, 8)}, r"x: has A, but both A and B are needed"),
        ({"x.lora_B.weight": (8, 2)}, r"x: has B, but both"),
        ({"x.lora_A.weight": (2, 8, 1, 1), "x.lora_B.weight": (8, 2, 1, 1)}, "only linear and embedding layers"),
        ({"x.lora_A.weight": (2, 8), "x.lora_B.weight": (8, 3)}, "says rank 2"),
        ({"x.lora_C.weight": (2, 8)}, "is no factor that PEFT's LoRA knows"),
        (
            {"x.lora_embedding_A": (2, 8), "x.lora_embedding_B": (8, 2), "x.lora_magnitude_vector": (8,)},
            "DoRA on an embedding",
        ),
        ({}, "holds no tensors"),
    ],
)
def test_factors_that_do_not_fit(shapes: dict[str, tuple[int, ...]], said: str, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a", {AT + name: shape for name, shape in shapes.items()})
    with pytest.raises(RecipeError, match=said):
        open_adapter(folder)


def test_a_pickled_a_truncated_and_a_missing_adapter(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    file = folder / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(RecipeError, match="cut short"):
        open_adapter(folder)
    file.rename(folder / "adapter_model.bin")
    with pytest.raises(RecipeError, match=r"(?s)adapter_model.bin: is pickled.*safe_serialization=True"):
        open_adapter(folder)
    (folder / "adapter_model.bin").unlink()
    with pytest.raises(RecipeError, match=r"adapter_model\.safetensors: no such file"):
        open_adapter(folder)
