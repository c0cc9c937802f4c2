"""The measures against what transformers computes with whole models, and their verdicts on good and bad exports."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from postprocess.awq.gate import faults
from tests.quantize_env.conftest import write_pico

KINDS = {
    "qwen2": {},
    "llama": {"num_key_value_heads": 4, "intermediate_size": 384, "tie_word_embeddings": True},
}


def silent(what: str, done: int, total: int) -> None:
    """No progress."""


def measured(model: Path, export: Path, held_out: list[str], group: int = 64) -> dict[str, Any]:
    from postprocess.awq.quality import measure

    settings = {"model": str(model), "export": str(export), "texts": held_out, "group": group}
    return measure(settings, silent)


@pytest.fixture(scope="session", params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pico(tmp_path_factory.mktemp(request.param) / "model", request.param, **KINDS[request.param])


@pytest.fixture(scope="session")
def export(model: Path, calibration: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model in 4 bit, by gptqmodel."""
    from postprocess.awq.backends.gptqmodel import quantise

    out = tmp_path_factory.mktemp("export") / "awq"
    settings = {
        "model": str(model),
        "out": str(out),
        "texts": calibration,
        "group": 64,
        "format": "awq",
    }
    told: list[tuple[str, int, int]] = []
    made = quantise({**settings, "max_tokens": 512}, lambda *event: told.append(event))
    assert made["used"] == 32 and made["converted"] is None
    assert told[0] == ("quantising", 0, 2) and told[-1] == ("quantising", 2, 2)
    return out


def perplexity(model: Any, tokenizer: Path, texts: list[str]) -> float:
    """By transformers' own loss, text by text."""
    import torch
    from tokenizers import Tokenizer

    words, loss, positions = Tokenizer.from_file(str(tokenizer / "tokenizer.json")), 0.0, 0
    for text in texts:
        ids = torch.tensor([words.encode(text, add_special_tokens=False).ids])
        with torch.no_grad():
            loss += model(ids, labels=ids).loss.item() * (ids.shape[1] - 1)
        positions += ids.shape[1] - 1
    return math.exp(loss / positions)


def tampered(export: Path, to: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    from safetensors.torch import load_file, save_file

    shutil.copytree(export, to)
    tensors = load_file(to / "model.safetensors")
    change(tensors)
    save_file(tensors, to / "model.safetensors", {"format": "pt"})
    return to


def test_layer_by_layer_is_the_same_as_the_whole_model(model: Path, held_out: list[str]) -> None:
    """An export that is the model itself differs in nothing; its perplexity is that of transformers in fp32."""
    import torch
    from transformers import AutoModelForCausalLM

    report = measured(model, model, held_out)
    assert report["export"]["kl"] == 0 and report["export"]["top1_agreement"] == 1
    assert report["layers"][1]["output_errors"] == {"export": 0.0, "rtn": 0.0}
    whole = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    assert report["reference"]["perplexity"] == pytest.approx(perplexity(whole, model, held_out), rel=1e-4)


def test_an_export_passes_the_gate(model: Path, export: Path, held_out: list[str]) -> None:
    report = measured(model, export, held_out)
    assert faults(report) == []
    assert 0 < report["export"]["kl"] < report["rtn"]["kl"]
    assert report["scales"]["all"] > 0 == report["scales"]["zero"]
    for layer in report["layers"]:
        assert 0 < layer["output_errors"]["export"] < 0.5 and 0 < layer["weight_errors"]["rtn"]["q"] < 0.2
        assert set(layer["norms"]) == {f"norm x {name}" for name in ("q", "k", "gate", "v x o", "up x down")}


def test_transformers_loads_the_export_and_computes_what_was_measured(
    model: Path, export: Path, held_out: list[str], tmp_path: Path
) -> None:
    """With the config that ``recipe awq`` writes; what our unpacking says is what the library's kernel computes."""
    from transformers import AutoModelForCausalLM

    from postprocess.awq.export import ExportJob, quantization_config

    folder = tmp_path / "served"
    shutil.copytree(export, folder, ignore=shutil.ignore_patterns("quantize_config.json"))
    config = json.loads((model / "config.json").read_text())
    config["quantization_config"] = quantization_config(ExportJob(model, folder, "gptqmodel", "awq", 64, {}), {})
    (folder / "config.json").write_text(json.dumps(config))
    served = AutoModelForCausalLM.from_pretrained(folder, device_map="cpu")
    assert "Awq" in type(served.model.layers[0].mlp.up_proj).__name__
    report, found = measured(model, export, held_out), perplexity(served, model, held_out)
    assert found == pytest.approx(report["export"]["perplexity"], rel=0.02)  # bf16 against fp32
    assert abs(found - report["reference"]["perplexity"]) > abs(found - report["export"]["perplexity"])


@pytest.mark.parametrize("factor", [0.02, 50.0])
def test_a_destroyed_scale_is_refused(
    model: Path, export: Path, held_out: list[str], tmp_path: Path, factor: float
) -> None:
    def change(tensors: dict[str, Any]) -> None:
        tensors["model.layers.1.mlp.up_proj.scales"] *= factor

    found = faults(measured(model, tampered(export, tmp_path / "bad", change), held_out))
    assert any("layer 1: norm x up x down" in fault for fault in found)


def test_fp32_weights_are_converted_knowingly(calibration: list[str], held_out: list[str], tmp_path: Path) -> None:
    """On a CPU gptqmodel would corrupt them (`looper/awq_processor.py`); what it gets is bf16."""
    import torch
    from transformers import AutoModelForCausalLM

    from postprocess.awq.backends.gptqmodel import quantise

    half = write_pico(tmp_path / "half", "llama")
    whole = tmp_path / "whole"
    shutil.copytree(half, whole)
    AutoModelForCausalLM.from_pretrained(half, dtype=torch.float32).save_pretrained(whole)
    settings = {
        "model": str(whole),
        "out": str(tmp_path / "awq"),
        "texts": calibration,
        "group": 64,
    }
    made = quantise({**settings, "format": "awq", "max_tokens": 512}, silent)
    assert made["converted"] == "float32 to bfloat16" and made["dtype"] == "bfloat16"
    assert faults(measured(whole, tmp_path / "awq", held_out)) == []


def test_gptq_passes_the_gate_too(model: Path, calibration: list[str], held_out: list[str], tmp_path: Path) -> None:
    from postprocess.awq.backends.gptqmodel import quantise
    from postprocess.awq.export import ExportJob, quantization_config

    out = tmp_path / "gptq"
    settings = {
        "model": str(model),
        "out": str(out),
        "texts": calibration,
        "group": 64,
        "format": "gptq",
    }
    quantise({**settings, "max_tokens": 512}, silent)
    report = measured(model, out, held_out)
    assert faults(report) == [] and 0 < report["export"]["kl"] < report["rtn"]["kl"]
    stated = json.loads((out / "config.json").read_text())["quantization_config"]
    told = quantization_config(ExportJob(model, out, "gptqmodel", "gptq", 64, {}), stated)
    assert told["quant_method"] == "gptq" and {"desc_act", "sym", "checkpoint_format"} < set(told)


def test_scales_that_moved_between_up_and_down_are_no_fault(
    model: Path, export: Path, held_out: list[str], tmp_path: Path
) -> None:
    """What AWQ does on purpose: up divided, down multiplied. Exact here, since the factor is a power of two."""

    def change(tensors: dict[str, Any]) -> None:
        tensors["model.layers.1.mlp.up_proj.scales"] /= 4
        tensors["model.layers.1.mlp.down_proj.scales"] *= 4

    report = measured(model, tampered(export, tmp_path / "moved", change), held_out)
    assert faults(report) == []
    assert report["export"]["kl"] == pytest.approx(measured(model, export, held_out)["export"]["kl"], rel=1e-3)


def test_what_is_not_finite_is_refused(model: Path, export: Path, held_out: list[str], tmp_path: Path) -> None:
    def change(tensors: dict[str, Any]) -> None:
        tensors["model.layers.0.self_attn.q_proj.scales"][0, 0] = float("nan")

    report = measured(model, tampered(export, tmp_path / "nan", change), held_out)
    assert "its outputs are not finite" in faults(report)
    json.dumps(report, allow_nan=False)


def test_rounding_is_within_half_a_step_of_every_weight() -> None:
    import torch

    from postprocess.awq.quality import rounded

    torch.manual_seed(0)
    weight = torch.randn(24, 128) + torch.linspace(-3, 3, 24)[:, None]
    grouped, found = weight.reshape(24, 2, 64), rounded(weight, 64).reshape(24, 2, 64)
    step = (grouped.amax(-1).clamp(min=0) - grouped.amin(-1).clamp(max=0)) / 15
    assert ((found - grouped).abs() <= 1.01 * step[:, :, None]).all()  # half a step, and half one of the zero point
    assert (found - grouped).abs().mean() < 0.3 * step.mean()
    assert all(len(group.unique()) <= 16 for row in found for group in row)
