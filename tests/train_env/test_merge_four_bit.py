"""Bases stored in 4 bit, against bitsandbytes."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from safetensors.torch import load_file, save_file  # noqa: E402

from spine.checkpoint import INDEX, SINGLE, read_json  # noqa: E402
from spine.errors import RecipeError  # noqa: E402
from tests.train_env.picos import (  # noqa: E402
    load,
    merge,
    peft_merged,
    tensors,
    write_adapter,
)


@pytest.fixture(scope="module")
def four_bit(bases: Any, place: Path) -> Path:
    """A tied model with biases in NF4 with double quantisation, every tensor and part of one in a shard of its own."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    chosen = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(
            bases("qwen2", tied=True), quantization_config=chosen, dtype=torch.bfloat16, device_map="cpu"
        )
    folder = place / "four-bit"
    model.save_pretrained(folder)
    made = load_file(folder / SINGLE)
    names = {name: f"model-{number:05}-of-{len(made):05}.safetensors" for number, name in enumerate(sorted(made), 1)}
    for name, tensor in made.items():
        save_file({name: tensor}, str(folder / names[name]), {"format": "pt"})
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": names}))
    (folder / SINGLE).unlink()
    return folder


def dequantised_by_bitsandbytes(folder: Path) -> dict[str, Any]:
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, device_map="cpu")
    found = {name: tensor for name, tensor in model.named_parameters() if tensor.dtype.is_floating_point}
    layers = {name: m.weight for name, m in model.named_modules() if isinstance(m, Linear4bit)}
    assert len(layers) == 14
    return found | {f"{name}.weight": dequantize_4bit(w.data, w.quant_state) for name, w in layers.items()}


def test_a_base_in_4_bit_is_dequantised(four_bit: Path, bases: Any, tmp_path: Path) -> None:
    plain = dequantised_by_bitsandbytes(four_bit)
    merged = merge(four_bit, [], [], tmp_path / "dequantised")
    ours = tensors(merged)
    assert ours.keys() == plain.keys()
    assert all(ours[n].dtype == t.dtype and torch.equal(ours[n], t) for n, t in plain.items())
    assert "quantization_config" not in read_json(merged / "config.json")
    load(merged)


def test_a_base_in_4_bit_is_merged_into(four_bit: Path, bases: Any, tmp_path: Path) -> None:
    base = bases("qwen2", tied=True)
    adapter = write_adapter(base, tmp_path / "adapter")
    unquantised, full = tensors(base), peft_merged(base, adapter)
    plain = dequantised_by_bitsandbytes(four_bit)
    for weight in (1.0, 0.56):
        ours = tensors(merge(four_bit, [adapter], [weight], tmp_path / f"{weight:g}"))
        for name, tensor in plain.items():
            wanted = tensor.double() + weight * (full[name].double() - unquantised[name].double())
            assert ours[name].dtype == torch.bfloat16
            assert (ours[name].double() - wanted).abs().max() <= 2**-8 * wanted.abs().max(), name
    assert "quantization_config" not in read_json(tmp_path / "1" / "config.json")
    load(tmp_path / "1")


def test_nf4_round_trip_is_for_what_was_quantised_in_training(bases: Any, tmp_path: Path) -> None:
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    base = bases("llama", dtype="bfloat16")
    ours, plain = tensors(merge(base, [], [], tmp_path / "rounded", round_trip=True)), tensors(base)
    for name, tensor in plain.items():
        if "_proj" in name:
            packed, state = quantize_4bit(tensor, quant_type="nf4", compress_statistics=True)
            assert torch.equal(ours[name], dequantize_4bit(packed, state)) and not torch.equal(ours[name], tensor)
        else:
            assert torch.equal(ours[name], tensor), name
    adapter = write_adapter(base, tmp_path / "adapter")
    added = tensors(merge(base, [adapter], [0.5], tmp_path / "added", round_trip=True))
    again = tensors(merge(tmp_path / "rounded", [adapter], [0.5], tmp_path / "again"))
    assert all(torch.equal(added[name], again[name]) for name in added)


@pytest.mark.parametrize("kind", ["gptq", "awq"])
def test_a_base_quantised_otherwise_is_refused(kind: str, base: Path, adapter: Path, tmp_path: Path) -> None:
    spoilt = shutil.copytree(base, tmp_path / "base")
    config = read_json(spoilt / "config.json") | {"quantization_config": {"quant_method": kind, "bits": 4}}
    (spoilt / "config.json").write_text(json.dumps(config))
    with pytest.raises(RecipeError, match=rf"(?s)is quantised with {kind}.*merge into the unquantised model"):
        merge(spoilt, [adapter], [1.0], tmp_path / "merged")


def test_a_model_in_4_bit_cannot_be_added(four_bit: Path, bases: Any, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="is stored in 4 bit; only the base may be"):
        merge(bases("qwen2", tied=True), [four_bit], [1.0], tmp_path / "merged")
