"""Padding changes nothing, and a result whose bits changed is found out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safetensors.torch import save_file  # noqa: E402

from postprocess import verify  # noqa: E402
from postprocess.merge.plan import Padding  # noqa: E402
from spine.checkpoint import open_checkpoint, read_json  # noqa: E402
from spine.errors import RecipeError  # noqa: E402
from tests.train_env.picos import load, logits, merge, tensors, write_adapter, write_model  # noqa: E402

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen2": ("qwen2", {"tie_word_embeddings": False}),
    "qwen2, tied": ("qwen2", {"tie_word_embeddings": True}),
    "llama with biases": ("llama", {"mlp_bias": True, "attention_bias": True}),
}
GROUP = 16
# AWQ's GEMM layout: the number at bits 4k of a packed column stands for the original column 8j + ORDER[k].
ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def silent(*told: Any) -> None:
    """No progress."""


@pytest.fixture(params=list(KINDS))
def plain(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    kind, sizes = KINDS[request.param]
    return write_model(tmp_path / "plain", kind, intermediate_size=48, **sizes)


def test_a_padded_model_answers_as_before(plain: Path, tmp_path: Path) -> None:
    padded = merge(plain, [], [], tmp_path / "padded", padding=Padding(tp=2, group=32))
    assert read_json(padded / "config.json")["intermediate_size"] == 64
    torch.testing.assert_close(logits(load(padded)), logits(load(plain)), rtol=1e-5, atol=1e-5)
    assert verify.forward(padded, plain) == {"largest": 0.0, "bitwise": True}
    layers = 2 * (5 if "llama" in read_json(plain / "config.json")["model_type"] else 3)
    found = verify.padding(open_checkpoint(padded), open_checkpoint(plain), silent)
    assert found == {"tensors": len(tensors(plain)), "padded": layers, "wrong": []}
    for name, tensor in tensors(padded).items():
        if "gate_proj" in name or "up_proj" in name:
            assert tensor.shape[0] == 64 and not tensor[48:].any()
        elif "down_proj.weight" in name:
            assert tensor.shape[1] == 64 and not tensor[:, 48:].any()
    again = merge(padded, [], [], tmp_path / "again", padding=Padding(tp=2, group=32))  # nothing to add
    assert (again / "model.safetensors").read_bytes() == (padded / "model.safetensors").read_bytes()
    assert verify.checksums(padded, silent) == []


def test_merging_and_padding_in_one_pass(plain: Path, tmp_path: Path) -> None:
    adapter = write_adapter(plain, tmp_path / "adapter")
    at_once = merge(plain, [adapter], [0.56], tmp_path / "at-once", padding=Padding(by=24))
    merged = merge(plain, [adapter], [0.56], tmp_path / "merged")
    after = merge(merged, [], [], tmp_path / "after", padding=Padding(by=24))
    assert (at_once / "model.safetensors").read_bytes() == (after / "model.safetensors").read_bytes()
    assert verify.forward(at_once, merged)["bitwise"]


def test_dora_and_4_bit_rounding_are_padded_too(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base")
    adapter = write_adapter(base, tmp_path / "adapter", use_dora=True)
    for round_trip in (False, True):
        merged, padded = (
            merge(base, [adapter], [1.0], tmp_path / f"{p}-{round_trip}", padding=p, round_trip=round_trip)
            for p in (None, Padding(by=16))
        )
        found = verify.padding(open_checkpoint(padded), open_checkpoint(merged), silent)
        assert (found["padded"], found["wrong"]) == (6, [])


def test_padding_that_is_not_zero_and_values_that_changed_are_found(plain: Path, tmp_path: Path) -> None:
    padded = merge(plain, [], [], tmp_path / "padded", padding=Padding(by=16))
    changed = tensors(padded)
    changed["model.layers.0.mlp.up_proj.weight"][-1, 0] = 1e-30
    changed["model.layers.1.mlp.down_proj.weight"][0, -1] = 1.0
    changed["model.norm.weight"][3] = torch.nextafter(changed["model.norm.weight"][3], torch.tensor(9.0))
    save_file(changed, str(padded / "model.safetensors"))
    found = verify.padding(open_checkpoint(padded), open_checkpoint(plain), silent)
    assert sorted(found["wrong"]) == [
        "model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.down_proj.weight", "model.norm.weight",
    ]  # fmt: skip
    assert not verify.forward(padded, plain)["bitwise"]


def test_a_flipped_bit_is_found_wherever_it_is(plain: Path, tmp_path: Path) -> None:
    out = merge(plain, [], [], tmp_path / "copy", padding=Padding(by=16))
    path = out / "model.safetensors"
    good = path.read_bytes()
    for at in np.linspace(0, len(good) - 1, 60, dtype=int):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :])
        (found,) = verify.checksums(out, silent)
        assert found.startswith("model.safetensors, bytes ")
    path.write_bytes(good[:-1])
    assert verify.checksums(out, silent)


def test_architectures_that_are_not_known_are_not_padded(tmp_path: Path) -> None:
    model = write_model(tmp_path / "gpt2", "gpt2")
    with pytest.raises(RecipeError, match=r"(?s)MLPs of GPT2LMHeadModel are not known.*Qwen2ForCausalLM"):
        merge(model, [], [], tmp_path / "padded", padding=Padding(by=16))


def pack(numbers: Any) -> Any:
    """numbers: (rows, columns) of 0 to 15 -> (rows, columns / 8) int32."""
    parts = numbers.reshape(numbers.shape[0], -1, 8)[:, :, ORDER].astype(np.uint32)
    packed = sum(parts[:, :, k] << np.uint32(4 * k) for k in range(8))
    return torch.from_numpy(packed.astype(np.uint32).view(np.int32))


def unpack(packed: Any) -> Any:
    """The inverse, by another way: shift and mask one column at a time."""
    words = packed.numpy().view(np.uint32)
    numbers = np.empty((words.shape[0], words.shape[1] * 8), dtype=np.int64)
    for k, column in enumerate(ORDER):
        numbers[:, column::8] = (words >> np.uint32(4 * k)) & np.uint32(15)
    return numbers


def dequantised(model: dict[str, Any], name: str) -> Any:
    """(in, out) in float64: (value - zero point) * scale of the row's group."""
    values, zeros = unpack(model[f"{name}.qweight"]), unpack(model[f"{name}.qzeros"])
    scales = model[f"{name}.scales"].double().numpy()
    group = values.shape[0] // zeros.shape[0]
    return (values - zeros.repeat(group, 0)) * scales.repeat(group, 0)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A model in AutoAWQ's GEMM layout with random numbers, one layer of width 64 kept unquantised."""
    hidden, width, random = 32, 64, np.random.default_rng(0)
    made: dict[str, Any] = {"model.embed_tokens.weight": torch.randn(96, hidden).half()}
    for layer in (0, 1):
        for name, shape in (("self_attn.q_proj", (hidden, hidden)), ("mlp.gate_proj", (hidden, width)),
                            ("mlp.up_proj", (hidden, width)), ("mlp.down_proj", (width, hidden))):  # fmt: skip
            full, groups = f"model.layers.{layer}.{name}", (shape[0] // GROUP, shape[1])
            made[f"{full}.qweight"] = pack(random.integers(0, 16, shape))
            made[f"{full}.qzeros"] = pack(random.integers(0, 16, groups))
            made[f"{full}.scales"] = torch.from_numpy(random.random(groups)).half()
    made["model.layers.2.mlp.gate_proj.weight"] = torch.randn(width, hidden).half()
    made["model.layers.2.mlp.down_proj.weight"] = torch.randn(hidden, width).half()
    folder = tmp_path / "packed"
    folder.mkdir()
    save_file(made, str(folder / "model.safetensors"))
    stated = {"quant_method": "awq", "version": "gemm", "bits": 4, "group_size": GROUP, "zero_point": True}
    config = {"architectures": ["Qwen2ForCausalLM"], "intermediate_size": width, "quantization_config": stated}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_packed_padding_leaves_the_real_weights_and_adds_exact_zeros(packed: Path, tmp_path: Path) -> None:
    padded = merge(packed, [], [], tmp_path / "padded", padding=Padding(tp=2, group=48))
    old, new = tensors(packed), tensors(padded)
    assert (config := read_json(padded / "config.json"))["intermediate_size"] == 96
    assert config["quantization_config"] == read_json(packed / "config.json")["quantization_config"]
    assert unpack(pack(np.arange(32).reshape(2, 16) % 16)).tolist() == (np.arange(32).reshape(2, 16) % 16).tolist()
    for layer in (0, 1):
        for name, axis in (("mlp.gate_proj", 1), ("mlp.up_proj", 1), ("mlp.down_proj", 0), ("self_attn.q_proj", None)):
            before, after = (dequantised(model, f"model.layers.{layer}.{name}") for model in (old, new))
            if axis is None:
                assert np.array_equal(before, after)
                continue
            real, added = np.split(after, [64], axis=axis)
            assert np.array_equal(real, before) and added.shape[axis] == 32 and not added.any()
    assert not new["model.layers.2.mlp.gate_proj.weight"][64:].any()
    assert not new["model.layers.2.mlp.down_proj.weight"][:, 64:].any()
    found = verify.padding(open_checkpoint(padded), open_checkpoint(packed), silent)
    assert (found["padded"], found["wrong"]) == (20, [])


def test_packed_padding_must_be_whole_groups(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"(?s)groups of 16: 8 columns are not whole groups.*multiple of 16"):
        merge(packed, [], [], tmp_path / "padded", padding=Padding(by=8))


def test_a_packed_model_is_copied_when_nothing_is_to_be_added(packed: Path, tmp_path: Path) -> None:
    copy = merge(packed, [], [], tmp_path / "copy", padding=Padding(tp=2, group=32))
    assert tensors(copy).keys() == tensors(packed).keys()
    assert all(torch.equal(tensor, tensors(packed)[name]) for name, tensor in tensors(copy).items())


def test_a_packed_scale_that_is_infinite_is_refused(packed: Path, tmp_path: Path) -> None:
    spoilt = tensors(packed)
    spoilt["model.layers.1.self_attn.q_proj.scales"][0, 0] = float("inf")
    save_file(spoilt, str(packed / "model.safetensors"))
    with pytest.raises(RecipeError, match=r"layers.1.self_attn.q_proj.scales: NaN or infinity"):
        merge(packed, [], [], tmp_path / "padded", padding=Padding(by=16))
    assert not (tmp_path / "padded").exists()
