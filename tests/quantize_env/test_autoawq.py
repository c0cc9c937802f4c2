"""AutoAWQ on a CPU: the bug that it has, and that our export does not."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from postprocess.awq.gate import faults
from spine.errors import RecipeError
from tests.quantize_env.conftest import write_pico


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pico(tmp_path_factory.mktemp("qwen2") / "model", "qwen2", intermediate_size=384, rope_theta=5e4)


def export(model: Path, texts: list[str], out: Path) -> dict[str, Any]:
    from postprocess.awq.backends.autoawq import quantise

    settings = {
        "model": str(model),
        "out": str(out),
        "texts": texts,
        "group": 64,
        "format": "awq",
    }
    return quantise({**settings, "max_tokens": 512}, lambda what, done, total: None)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))


def test_an_export_passes_the_gate(model: Path, calibration: list[str], held_out: list[str], tmp_path: Path) -> None:
    from postprocess.awq.quality import measure

    made = export(model, calibration, tmp_path / "awq")
    assert made["used"] == 32 and made["dtype"] == "float16" and made["converted"] == "bfloat16 to float16"
    settings = {
        "model": str(model),
        "export": str(tmp_path / "awq"),
        "texts": held_out,
        "group": 64,
    }
    report = measure(settings, lambda what, done, total: None)
    assert faults(report) == [] and 0 < report["export"]["kl"] < report["rtn"]["kl"]


def test_autoawq_as_it_is_corrupts_the_weights_it_searches(model: Path, calibration: list[str], tmp_path: Path) -> None:
    """When this fails, AutoAWQ has mended it or runs on a GPU; then the copies in ``Careful`` are not needed."""
    from contextlib import nullcontext
    from unittest.mock import patch

    from postprocess.awq.backends.autoawq import Careful

    with (
        patch.object(Careful, "copied", lambda self, module: nullcontext()),
        pytest.raises(RecipeError, match="other weights behind than it found"),
    ):
        export(model, calibration, tmp_path / "awq")


def test_another_version_is_refused_on_a_cpu() -> None:
    from postprocess.awq.backends.autoawq import check_version

    check_version("0.2.9", on_cpu=True)
    check_version("0.3.0", on_cpu=False)
    with pytest.raises(RecipeError, match=r"AutoAWQ 0\.3\.0 on a CPU") as error:
        check_version("0.3.0", on_cpu=True)
    assert "gptqmodel" in str(error.value.way_out)


@pytest.mark.parametrize(
    ("rope", "theta", "scaling"),
    [
        ({"rope_theta": 5e4, "rope_type": "default"}, 5e4, None),
        ({"rope_theta": 1e6, "rope_type": "linear", "factor": 4.0}, 1e6, {"rope_type": "linear", "factor": 4.0}),
    ],
)
def test_a_config_of_transformers_5_keeps_its_positions(
    model: Path, tmp_path: Path, rope: dict[str, Any], theta: float, scaling: dict[str, Any] | None
) -> None:
    import shutil

    from transformers import AutoConfig

    from postprocess.awq.backends.autoawq import _for_transformers_4

    newer = tmp_path / "newer"
    shutil.copytree(model, newer)
    config = json.loads((newer / "config.json").read_text())
    for key in ("rope_theta", "rope_scaling", "torch_dtype"):
        config.pop(key, None)
    (newer / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16", "rope_parameters": rope}))
    folder, stored = _for_transformers_4({"model": str(newer)})
    read = AutoConfig.from_pretrained(folder)
    assert stored == "bfloat16" and math.isclose(read.rope_theta, theta) and read.rope_scaling == scaling
    assert (folder / "model.safetensors").samefile(newer / "model.safetensors")
