"""How wide the MLPs become, which tensors grow, and what is not padded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postprocess.merge.operation import Operation
from postprocess.merge.pad import ARCHITECTURES, Width, pad, padded_width
from postprocess.merge.plan import MergeJob, Padding, make_plan
from spine.checkpoint import Tensor
from spine.errors import RecipeError
from tests.postprocess.checkpoints import HIDDEN, WIDTH, model_shapes, write_model

AWQ = {"quant_method": "awq", "version": "gemm", "bits": 4, "group_size": 128}


def config(width: int, **more: Any) -> dict[str, Any]:
    return {"architectures": ["Qwen2ForCausalLM"], "intermediate_size": width, **more}


def test_the_winners_width() -> None:
    """Qwen2-72B for 4 GPUs and groups of 128: as their slides have it."""
    assert padded_width(config(29568), tp=4, group=128) == Width(29568, 29696, "4 x 58 groups of 128")
    assert padded_width(config(29568), by=128) == Width(29568, 29696, "128 more, as asked")


def test_a_padded_model_is_recognised() -> None:
    width = padded_width(config(29696), tp=4, group=128)
    assert (width.old, width.new) == (29696, 29696) and "nothing to add" in width.why


@given(st.integers(1, 40_000), st.integers(1, 8), st.sampled_from([16, 32, 64, 128]))
def test_every_gpu_gets_whole_groups_and_no_column_too_many(old: int, tp: int, group: int) -> None:
    width = padded_width(config(old), tp=tp, group=group)
    assert width.new % tp == 0 and (width.new // tp) % group == 0
    assert old <= width.new < old + tp * group
    assert padded_width(config(width.new), tp=tp, group=group).new == width.new


@pytest.mark.parametrize(
    "architectures", [["GPT2LMHeadModel"], ["MixtralForCausalLM"], [], None, ["Qwen2ForCausalLM", "X"]]
)
def test_unknown_architectures_are_refused(architectures: Any) -> None:
    with pytest.raises(RecipeError, match=rf"(?s)are not known here.*known: {', '.join(ARCHITECTURES)}"):
        padded_width(config(100) | {"architectures": architectures})


@pytest.mark.parametrize(
    "stated",
    [
        AWQ | {"quant_method": "gptq"},
        AWQ | {"version": "gemv"},
        AWQ | {"bits": 8},
        {"quant_method": "bitsandbytes", "load_in_4bit": True},
        {"quant_method": "compressed-tensors"},
        {"quant_method": "fp8"},
    ],
)
def test_other_quantisations_are_not_padded(stated: dict[str, Any], tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", quantization_config=stated)
    with pytest.raises(RecipeError, match=r"(?s)only 4-bit AWQ in GEMM layout is padded.*then quantise it"):
        make_plan(MergeJob(str(model), [str(tmp_path / "out")], padding=Padding(by=8)))


def test_packed_numbers_come_in_whole_groups() -> None:
    assert padded_width(config(29568, quantization_config=AWQ), by=128).new == 29696
    with pytest.raises(RecipeError, match=r"(?s)groups of 128: 64 columns are not whole groups.*multiple of 128"):
        padded_width(config(29568, quantization_config=AWQ), by=64)


def operation(name: str, *shape: int) -> Operation:
    return Operation.copy(Tensor(name, "F16", shape, Path("x"), 0))


@pytest.mark.parametrize(
    ("name", "shape", "wide", "fill"),
    [
        ("gate_proj.weight", (256, 32), (384, 32), 0),
        ("up_proj.weight", (256, 32), (384, 32), 0),
        ("down_proj.weight", (32, 256), (32, 384), 0),
        ("gate_proj.bias", (256,), (384,), 0),
        ("down_proj.bias", (32,), (32,), 0),
        ("gate_proj.qweight", (32, 32), (32, 48), 0),
        ("up_proj.qzeros", (1, 32), (1, 48), 0),
        ("gate_proj.scales", (1, 256), (1, 384), 1),
        ("down_proj.qweight", (256, 4), (384, 4), 0),
        ("down_proj.qzeros", (2, 4), (3, 4), 0),
        ("down_proj.scales", (2, 32), (3, 32), 1),
    ],
)
def test_which_axis_grows(name: str, shape: tuple[int, ...], wide: tuple[int, ...], fill: int) -> None:
    """Dense weights are (out, in), packed ones (in, out), eight numbers to a word."""
    files = {
        "f": [operation(f"model.layers.0.mlp.{name}", *shape), operation("model.layers.0.mlp.up_proj.weight", 256, 1)]
    }
    packed = {"quantization_config": AWQ} if "q" in name.split(".")[1] or "scales" in name else {}
    made, after = pad(files, config(256, **packed), Width(256, 384, ""))
    assert made["f"][0].shape == wide and made["f"][0].logical == shape
    assert made["f"][0].fill == (fill if wide != shape else 0) and after["intermediate_size"] == 384


def test_only_the_mlps_grow(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    made = make_plan(MergeJob(str(model), [str(tmp_path / "out")], padding=Padding(by=4)))
    grown = {op.name: op.shape for shard in made.shards for op, _ in shard.operations if op.shape != op.logical}
    assert len(grown) == 6 and all(".mlp." in name and WIDTH + 4 in shape for name, shape in grown.items())
    assert made.config["intermediate_size"] == WIDTH + 4 and made.kinds()["pad"][0] == 6
    assert made.notes == (f"intermediate size {WIDTH} -> {WIDTH + 4}: 4 more, as asked",)


def test_a_width_that_is_not_the_tensors_is_refused(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", intermediate_size=WIDTH + 1)
    with pytest.raises(RecipeError, match=rf"gate_proj.weight is \({WIDTH}, {HIDDEN}\): not the intermediate size 13"):
        make_plan(MergeJob(str(model), [str(tmp_path / "out")], padding=Padding(by=4)))
    bare = {name: shape for name, shape in model_shapes().items() if ".mlp." not in name}
    model = write_model(tmp_path / "bare", shapes=bare)
    with pytest.raises(RecipeError, match="no MLP of width 12 among its tensors"):
        make_plan(MergeJob(str(model), [str(tmp_path / "out")], padding=Padding(by=4)))


def test_mlps_of_other_names_are_left_alone() -> None:
    names = ["model.layers.0.mlp.experts.0.gate_proj.weight", "model.layers.0.self_attn.gate_proj.weight"]
    files = {"f": [*(operation(name, 256, 4) for name in names), operation("a.mlp.gate_proj.weight", 256, 4)]}
    made, _ = pad(files, config(256), Width(256, 264, ""))
    assert [op.shape[0] for op in made["f"]] == [256, 256, 264]
