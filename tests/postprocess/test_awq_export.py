"""What ``recipe awq`` refuses before anything is loaded, and what it makes of a backend's process."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from postprocess.awq.export import ExportJob, check, quantization_config
from recipe.commands.awq import command
from spine import environments
from spine.errors import RecipeError
from spine.manifest import Step

SIZES = {"hidden_size": 576, "intermediate_size": 1536, "num_attention_heads": 9, "num_key_value_heads": 3}


def model_folder(folder: Path, **config: Any) -> Path:
    """A model's folder with one small tensor."""
    folder.mkdir(parents=True)
    stated = {"architectures": ["LlamaForCausalLM"], "torch_dtype": "bfloat16", **SIZES, **config}
    (folder / "config.json").write_text(json.dumps({key: value for key, value in stated.items() if value is not None}))
    header = json.dumps({"model.norm.weight": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    body = len(header).to_bytes(8, "little") + header + np.zeros(4, np.float32).tobytes()
    (folder / "model.safetensors").write_bytes(body)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text("{}")
    return folder


@pytest.fixture
def venvs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Environments that are this one."""
    for name in ("quantize", "autoawq"):
        (tmp_path / "venvs" / name / "bin").mkdir(parents=True)
        (tmp_path / "venvs" / name / ".installed-0").touch()
        (tmp_path / "venvs" / name / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (tmp_path / "venvs" / name / "bin" / "python").chmod(0o755)
    monkeypatch.setattr(environments, "VENVS", tmp_path / "venvs")
    return tmp_path / "venvs"


def job(model: Path, out: Path, group: int = 64, backend: str = "gptqmodel", format: str = "awq") -> ExportJob:
    return ExportJob(model, out, backend, format, group, {})


def test_a_model_that_can_be_exported_is_let_through(tmp_path: Path, venvs: Path) -> None:
    for group in (64, 32):
        check(job(model_folder(tmp_path / f"m{group}"), tmp_path / "out", group))
    assert not (tmp_path / "out").exists()  # looking writes nothing


@pytest.mark.parametrize(
    ("config", "group", "message", "way_out"),
    [
        (
            {},
            128,
            "groups of 128 do not divide hidden_size 576, num_attention_heads x head_dim 576",
            "--group 64 or 32",
        ),
        ({"intermediate_size": 1552}, 64, "groups of 64 do not divide intermediate_size 1552$", "none of 128, 64, 32"),
        ({"head_dim": 96}, 64, "num_attention_heads x head_dim 864", "--group 32"),
        ({"num_key_value_heads": 1, "head_dim": 68, "num_attention_heads": 16}, 64, "68 outputs of k_proj", None),
        ({"architectures": ["MixtralForCausalLM"]}, 64, "MixtralForCausalLM is not known", None),
        ({"architectures": None}, 64, "none is not known", None),
        ({"quantization_config": {"quant_method": "awq"}}, 64, "quantised already", None),
    ],
)
def test_models_that_cannot_be_exported(
    tmp_path: Path, venvs: Path, config: dict[str, Any], group: int, message: str, way_out: str | None
) -> None:
    with pytest.raises(RecipeError) as error:
        check(job(model_folder(tmp_path / "model", **config), tmp_path / "out", group))
    assert re.search(message, error.value.what)
    assert way_out is None or (error.value.way_out and error.value.way_out.startswith(way_out))


def test_the_72b_model_is_quantised_before_it_is_padded(tmp_path: Path, venvs: Path) -> None:
    """29568 = 231 x 128: unpadded, it divides into groups of 128, though not over 4 GPUs."""
    sizes = {"hidden_size": 8192, "intermediate_size": 29568, "num_attention_heads": 64, "num_key_value_heads": 8}
    model = model_folder(tmp_path / "model", architectures=["Qwen2ForCausalLM"], **sizes)
    check(job(model, tmp_path / "out", 128))
    quarter = model_folder(tmp_path / "quarter", **{**sizes, "intermediate_size": 29568 // 4})
    with pytest.raises(RecipeError, match="groups of 128 do not divide intermediate_size 7392"):
        check(job(quarter, tmp_path / "out", 128))


def test_folders_that_are_in_use_are_refused(tmp_path: Path, venvs: Path) -> None:
    model = model_folder(tmp_path / "all" / "model")
    for out in (model, tmp_path / "all"):
        with pytest.raises(RecipeError, match="would replace the model"):
            check(job(model, out))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(RecipeError, match="files that are no result of awq"):
        check(job(model, tmp_path / "mine"))
    with pytest.raises(RecipeError, match="is a file"):
        check(job(model, tmp_path / "mine" / "notes.txt"))
    Step(tmp_path / "mine", "awq", {}).finish(["notes.txt"])
    check(job(model, tmp_path / "mine"))


def test_a_missing_environment_is_named_with_the_way_to_it(tmp_path: Path, venvs: Path) -> None:
    (venvs / "autoawq" / ".installed-0").unlink()
    model = model_folder(tmp_path / "model")
    check(job(model, tmp_path / "out"))
    with pytest.raises(RecipeError, match="autoawq environment is not installed") as error:
        check(job(model, tmp_path / "out", backend="autoawq"))
    assert error.value.way_out == "make env-autoawq"
    with pytest.raises(RecipeError, match="does not write gptq"):
        check(job(model, tmp_path / "out", backend="autoawq", format="gptq"))


def test_the_config_says_what_vllm_reads(tmp_path: Path) -> None:
    assert quantization_config(job(tmp_path, tmp_path), {"meta": {"path": "/tmp/x"}}) == {
        "quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": True, "version": "gemm",
        "modules_to_not_convert": None,
    }  # fmt: skip
    stated = {"desc_act": False, "sym": True, "checkpoint_format": "gptq", "meta": {}}
    assert quantization_config(job(tmp_path, tmp_path, format="gptq"), stated) == {
        "quant_method": "gptq", "bits": 4, "group_size": 64, "desc_act": False, "sym": True,
        "checkpoint_format": "gptq",
    }  # fmt: skip


def test_the_command_says_what_it_needs(tmp_path: Path) -> None:
    runner = CliRunner()
    for arguments, message in (
        ([], "name a BLEND, or give --model, --out and --calibration"),
        (["v8", "--model", str(tmp_path)], "--model and --out go together"),
        (["v8", "--group", "48"], "'48' is not one of"),
        (["v8", "--order", "pad"], "'pad' is not one of"),
    ):
        done = runner.invoke(command, arguments)
        assert done.exit_code == 2 and message in done.output
    assert "Examples:" in runner.invoke(command, ["--help"]).output
