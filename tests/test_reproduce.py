"""The whole recipe for real, on a pico model: two rounds, sweeps, merge, AWQ, evaluation. Slow; `make test` runs it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from spine.manifest import NAME
from spine.paths import CONFIGS, ROOT, VENVS
from tests.conftest import edit
from tests.environments import RECIPE, slow_and_needs

pytestmark = slow_and_needs("train", "serve", "quantize")
MODEL = ROOT / "models" / "SmolLM2-135M-Instruct"
TRACKS = """# recipe reproduce
round1:
  track1: {blend: v8, alpha: 0.5}
round2:
  track2: {blend: v9b, alpha: 0.25}
  track5: {blend: v9b, alpha: 0.25}
"""


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fast profile on a pico model, and a shorter story; the rest is as shipped."""
    folder = tmp_path_factory.mktemp("workshop")
    subprocess.run([str(RECIPE), "model"], cwd=ROOT, check=True)
    pico = [
        str(VENVS / "train" / "bin" / "python"),
        "-m",
        "recipe.smoke.pico",
        str(MODEL),
        str(folder / "pico"),
        "llama",
        "4",
        "128",
    ]  # for vLLM and AWQ
    subprocess.run(pico, cwd=ROOT, env={**os.environ, "HF_HUB_OFFLINE": "1"}, check=True)
    shutil.copytree(CONFIGS, folder / "configs", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "configs" / "tracks.yaml").write_text(TRACKS)
    profile = folder / "configs" / "profiles" / "cpu-fast.yaml"
    profile.write_text(f"{profile.read_text()}base_model: {folder / 'pico'}\nembedded: false\n")
    return folder


def start(workshop: Path, *arguments: str) -> subprocess.Popen[str]:
    places = {"RECIPE_RUNS": str(workshop / "runs"), "RECIPE_CONFIGS": str(workshop / "configs")}
    return subprocess.Popen(
        [str(RECIPE), "reproduce", "-p", "cpu", "--fast", *arguments], cwd=ROOT,
        env={**os.environ, **places, "COLUMNS": "200", "PROFILE": "", "SET": "", "LIMIT": "1", "MODE": "winners"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def reproduce(workshop: Path, *arguments: str) -> tuple[str, list[str]]:
    """What was printed, and the steps that ran."""
    process = start(workshop, *arguments)
    output, _ = process.communicate(timeout=1800)
    assert process.returncode == 0, output
    return output, re.findall(r"^\[\d+/\d+\] (.+?) \(", output, re.M)


def test_the_whole_recipe(workshop: Path) -> None:
    run = workshop / "runs" / "cpu-fast"
    first = start(workshop)
    for _ in range(3000):
        if (run / "v8" / "train" / "started.json").exists():
            break
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)  # its training ends with it
    first.communicate()
    _, ran = reproduce(workshop)
    assert ran[0] == "train v8" and "data v8" not in ran  # it went on where it was
    assert [step for step in ran if step.startswith("train")] == ["train v8", "train v9b"]
    assert {"sweep v8", "sweep v9b", "merge v9b", "awq v9b 0.25", "eval v9b awq-0.25"} <= set(ran)
    assert len(set(ran)) == len(ran)
    output, ran = reproduce(workshop)
    assert ran == [] and "nothing to do" in output
    for row in ("base", "round 1", "round 2", "AWQ of round 2", "the constant answer"):
        assert f" {row} " in output
    scores = json.loads((run / "v8" / "eval" / "base@test" / "scores.json").read_text())
    assert (
        set(scores["tracks"]) == {"1", "2", "3", "4"} and scores["facts"]["questions"] > 30
    )  # MODE and LIMIT reached nobody


def test_what_is_damaged_or_touched_is_done_again_and_nothing_else(workshop: Path) -> None:
    run = workshop / "runs" / "cpu-fast"
    _, ran = reproduce(workshop)
    assert ran == []
    shard = run / "v9b" / "merged-0.25" / "model.safetensors"
    found = bytearray(shard.read_bytes())
    found[-1] ^= 1
    shard.write_bytes(found)
    shutil.rmtree(run / "v8" / "data")
    (run / "v9b" / "eval" / "awq-0.25@test" / NAME).unlink()
    edit(workshop / "configs" / "blends" / "v9b.yaml", "seed: 44 ", "seed: 44  # as before: ")
    output, ran = reproduce(workshop)
    assert ran == ["data v8", "merge v9b", "eval v9b awq-0.25"]  # to the same bytes, so that nothing follows
    assert "model.safetensors is not as it was written" in output
    edit(workshop / "configs" / "blends" / "v9b.yaml", "liked_titles: {rows: 12000}", "liked_titles: {rows: 52000}")
    output, _ = reproduce(workshop, "--dry-run")
    lines = {line.split("  ")[0].strip(): line for line in output.splitlines()}
    assert "changed: datasets (" in lines["data v9b"] and "after data v9b" in lines["train v9b"]
    assert all(" done " in lines[name] for name in ("questions", "eval base", "train v8", "sweep v8"))
