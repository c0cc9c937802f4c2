"""``recipe awq`` from end to end on a pico model, with the real gptqmodel in its environment."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from postprocess.awq import gate
from recipe.commands.awq import command
from spine import manifest
from spine.environments import python
from spine.errors import RecipeError
from spine.paths import ROOT

pytestmark = pytest.mark.slow  # starts gptqmodel and measures, about half a minute
WRITE = """
import sys
from pathlib import Path
from tests.quantize_env.conftest import write_pico
write_pico(Path(sys.argv[1]), "llama")
"""


@pytest.fixture(scope="module")
def pico(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pico") / "model"
    subprocess.run([str(python("quantize")), "-c", WRITE, str(folder)], cwd=ROOT, check=True, capture_output=True)
    (folder / "README.md").write_text("a model card")
    return folder


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 invented pairs in ShopBench's form, in the pico model's words."""
    path = tmp_path_factory.mktemp("questions") / "development.json"
    words = [f"word{at}" for at in range(250)]
    asked = [" ".join(words[at : 2 * at + 20 : 1 + at % 4]) for at in range(96)]
    rows = [{"input_field": asked[at], "output_field": words[at], "task_type": "generation"} for at in range(96)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def arguments(pico: Path, out: Path, questions: Path) -> list[str]:
    return ["--model", str(pico), "--out", str(out), "--group", "64", "--calibration", str(questions)]


def test_an_export_is_whole_and_is_not_made_twice(pico: Path, questions: Path, tmp_path: Path) -> None:
    out = tmp_path / "awq"
    done = CliRunner().invoke(command, arguments(pico, out, questions), catch_exceptions=False)
    assert "plain rounding" in done.output and "64 of 64 used" in done.output
    names = {path.name for path in out.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja", "README.md", "quality.json",
            "awq.log", "manifest.json"} <= names and "scratch" not in names  # fmt: skip
    assert [path for path in tmp_path.iterdir() if path.name not in ("awq", ".lock")] == []
    config, before = (json.loads((folder / "config.json").read_text()) for folder in (out, pico))
    assert config.pop("quantization_config")["group_size"] == 64 and config == before
    report = json.loads((out / "quality.json").read_text())
    assert report["faults"] == [] and report["export"]["kl"] < report["rtn"]["kl"] and report["texts"] == 32
    known = manifest.read(out)
    assert known and known["used"] == 64 and known["step"] == "awq"
    again = CliRunner().invoke(command, arguments(pico, out, questions), catch_exceptions=False)
    assert "nothing to do" in again.output


def test_a_refused_export_leaves_its_report_and_no_model(
    pico: Path, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "NORM_TOLERANCE", 0.0)  # no export is that exact
    with pytest.raises(RecipeError, match=r"did not pass: norms off by more than 0%: layer 0") as error:
        CliRunner().invoke(command, arguments(pico, tmp_path / "awq", questions), catch_exceptions=False)
    assert error.value.where == str(tmp_path / "awq.rejected" / "quality.json")
    assert {path.name for path in tmp_path.iterdir()} == {"awq.rejected", ".lock"}
    assert {path.name for path in (tmp_path / "awq.rejected").iterdir()} == {"quality.json", "awq.log"}
    assert json.loads((tmp_path / "awq.rejected" / "quality.json").read_text())["faults"]


def test_a_backend_that_fails_is_explained_and_its_log_kept(pico: Path, questions: Path, tmp_path: Path) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(pico, broken)
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "hidden_act": "no such function"}))
    with pytest.raises(
        RecipeError, match=r"postprocess\.awq\.backends\.gptqmodel ended with code 1:(?s:.)*no such"
    ) as error:
        CliRunner().invoke(command, arguments(broken, tmp_path / "awq", questions), catch_exceptions=False)
    assert error.value.where == str(tmp_path / "awq.rejected" / "awq.log")
    assert Path(error.value.where).is_file() and not (tmp_path / "awq").exists()
