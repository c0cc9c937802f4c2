"""A model in 4 bit becomes one in fp32 that any reader of safetensors opens, with the weights that 4 bit stood for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postprocess.awq import gemm
from postprocess.awq.unpack import unpack_model
from spine.checkpoint import SINGLE, header_bytes, open_checkpoint
from spine.errors import RecipeError

_TYPES = {np.dtype("float16"): "F16", np.dtype("float32"): "F32", np.dtype("int32"): "I32", np.dtype("uint16"): "BF16"}


def write(folder: Path, tensors: dict[str, Any], method: str = "awq") -> None:
    folder.mkdir(exist_ok=True)
    header, _ = header_bytes({name: (_TYPES[array.dtype], array.shape) for name, array in tensors.items()})
    (folder / SINGLE).write_bytes(header + b"".join(array.tobytes() for array in tensors.values()))
    (folder / "config.json").write_text(json.dumps({"hidden_size": 8, "quantization_config": {"quant_method": method}}))
    (folder / "tokenizer.json").write_text("{}")


def bits(draw: np.random.Generator, *shape: int) -> Any:
    return draw.integers(-(2**31), 2**31, shape, dtype=np.int32)


def a_layer(draw: np.random.Generator, name: str, groups: int, octets: int, *, gptq: bool, bf16: bool) -> Any:
    """Its tensors, and the weight that they stand for."""
    features, out = groups * 8, octets * 8
    scales = draw.random((groups, out), np.float32)
    stored = (scales.view(np.uint32) >> 16).astype(np.uint16) if bf16 else scales.astype(np.float16)
    known = (stored.astype(np.uint32) << 16).view(np.float32) if bf16 else stored
    parts: dict[str, Any] = {"qzeros": bits(draw, groups, octets)}
    if gptq:
        parts |= {
            "qweight": bits(draw, features // 8, out), "g_idx": np.repeat(np.arange(groups, dtype=np.int32), 8)
        }  # fmt: skip
        weight = gemm.dequantise_gptq(scales=known, **parts)
    else:
        parts["qweight"] = bits(draw, features, octets)
        weight = gemm.dequantise(scales=known, **parts)
    return {f"{name}.{part}": array for part, array in {**parts, "scales": stored}.items()}, weight


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1))
def test_every_weight_is_the_one_that_4_bit_stood_for(
    tmp_path_factory: pytest.TempPathFactory, groups: int, octets: int, gptq: bool, bf16: bool, seed: int
) -> None:
    draw, folder = np.random.default_rng(seed), tmp_path_factory.mktemp("packed")
    first, weight = a_layer(draw, "model.a_proj", groups, octets, gptq=gptq, bf16=bf16)
    second, other = a_layer(draw, "model.b_proj", 1, 1, gptq=gptq, bf16=bf16)
    norm, bias = (draw.random(size, np.float32).astype(np.float16) for size in (3, octets * 8))
    write(folder / "in", {"model.norm.weight": norm, **first, "model.a_proj.bias": bias, **second})
    unpack_model(folder / "in", folder / "out")
    found = open_checkpoint(folder / "out").tensors
    known = {"a_proj.weight": weight, "b_proj.weight": other, "norm.weight": norm, "a_proj.bias": bias}
    assert found.keys() == {f"model.{name}" for name in known}
    for name, array in known.items():
        tensor = found[f"model.{name}"]
        assert tensor.dtype == _TYPES[array.dtype] and tensor.shape == array.shape
        assert tensor.file.read_bytes()[tensor.begin :][: tensor.nbytes] == array.tobytes()
        assert tensor.begin % array.itemsize == 0  # torch reads a type only from a multiple of its size
    assert open_checkpoint(folder / "out").config == {"hidden_size": 8}
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["config.json", SINGLE, "tokenizer.json"]


def test_other_quantisations_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    write(tmp_path / "in", {"a.weight": np.zeros((2, 2), np.float16)}, "bitsandbytes")
    with pytest.raises(RecipeError, match="not bitsandbytes"):
        unpack_model(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_parts_that_do_not_fit_name_their_layer(tmp_path: Path) -> None:
    tensors, _ = a_layer(np.random.default_rng(0), "model.a_proj", 2, 2, gptq=False, bf16=False)
    tensors["model.a_proj.qzeros"] = tensors["model.a_proj.qzeros"][:, :1].copy()
    write(tmp_path / "in", tensors)
    with pytest.raises(RecipeError, match="a_proj is broken"):
        unpack_model(tmp_path / "in", tmp_path / "out")
