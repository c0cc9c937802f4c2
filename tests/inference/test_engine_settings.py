"""vLLM's arguments on GPUs that the tests do not have."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from inference.answering.engines import settings
from inference.answering.engines.settings import dtype_on_cpu, lacks_kernels, vllm_settings
from inference.answering.rules import Mode
from inference.serving.command import Serving
from spine.errors import RecipeError
from spine.hardware import Device, Machine
from spine.mixture import BASE

T4, A100, OLD_DRIVER = Device("Tesla T4", 14.6, 7.5), Device("A100", 79, 8.0), Device("Tesla V100", 15.8, math.inf)


def given(monkeypatch: pytest.MonkeyPatch, *gpus: Device) -> None:
    monkeypatch.setattr(settings, "this_machine", lambda: Machine(gpus, 8, 64))


@pytest.mark.parametrize(("dtype", "taken"), [("auto", "float16"), ("float16", "float16"), ("float32", "float32")])
def test_a_t4_gets_what_it_can_do(monkeypatch: pytest.MonkeyPatch, dtype: str, taken: str) -> None:
    given(monkeypatch, A100, T4)
    made = vllm_settings(max_length=3072, dtype=dtype, gpus=2, lora_rank=0)
    assert made["dtype"] == taken and made["attention_backend"] == "TRITON_ATTN" and made["enforce_eager"]


def test_bfloat16_on_a_t4_is_refused_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given(monkeypatch, T4, T4)
    with pytest.raises(RecipeError, match=r"Tesla T4 \(7\.5\) has no bfloat16\n  -> --dtype float16.*RECIPE_DTYPE"):
        Serving("v8", tmp_path, BASE, Mode.FREE, 512, "bfloat16", 2, "::", 8000).arguments(None)


@pytest.mark.parametrize("gpu", [A100, OLD_DRIVER])  # a driver that does not tell the capability: vLLM itself decides
def test_newer_gpus_get_what_the_checkpoint_has(monkeypatch: pytest.MonkeyPatch, gpu: Device) -> None:
    given(monkeypatch, gpu)
    made = vllm_settings(max_length=512, dtype="auto", gpus=1, lora_rank=0)
    assert made["dtype"] == "auto" and not made["enforce_eager"] and "attention_backend" not in made


def test_a_cpu_beside_a_t4_is_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, T4)
    assert vllm_settings(max_length=512, dtype="bfloat16", gpus=0, lora_rank=0)["dtype"] == "bfloat16"


def test_the_server_is_told_so_by_flags(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given(monkeypatch, T4)
    line = " ".join(Serving("v8", tmp_path, BASE, Mode.FREE, 512, "auto", 1, "::", 8000).arguments(None))
    assert "--dtype float16" in line and "--enforce-eager" in line and "--attention-backend TRITON_ATTN" in line


def test_a_cpu_without_avx512_answers_in_fp32_and_not_in_4_bit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"quantization_config": {}}')
    assert not lacks_kernels(tmp_path, 0)
    assert dtype_on_cpu("auto") == "auto"
    monkeypatch.setattr(settings, "bf16_on_cpu", lambda: False)
    assert dtype_on_cpu("auto") == vllm_settings(max_length=512, dtype="auto", gpus=0, lora_rank=0)["dtype"]
    assert dtype_on_cpu("auto") == "float32"
    assert dtype_on_cpu("bfloat16") == "bfloat16"
    assert [lacks_kernels(tmp_path, gpus) for gpus in (0, 1, None)] == [True, False, False]
    (tmp_path / "config.json").write_text("{}")
    assert not lacks_kernels(tmp_path, 0)
