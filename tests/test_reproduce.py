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
from tests.docs.pages import walk
from tests.docs.test_commands import is_typed
from tests.environments import RECIPE, slow_and_needs

pytestmark = slow_and_needs("train", "serve", "quantize")
MODEL = ROOT / "models" / "SmolLM2-135M-Instruct"
TRACKS = """# recipe reproduce
round1:
  track5: {blend: v8, alpha: 0.5625}
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


# What of README's commands this machine cannot do, and what it says instead.
REFUSED = {
    r"make smoke PROFILE=8xa100": "profile 8xa100 trains on 8 GPU(s)",
    r"make fetch-": "no connection",
    r"make ask ": "no server answers at",
}
ELSEWHERE = {
    r"\.venvs/train/bin/axolotl train": "300 steps; test_rendered.py: it is the YAML that is trained",
    r"make train-v8 SET=": "tests/test_miniature.py trains",
    r"make trial ": "trains six times; tests/recipe/test_trial.py, on made-up answers",
    r"make synth-demo": "minutes with a real model",
    r"make synth-v8": "tests/docs/test_commands.py, against a server",
    r"make serve-": "runs until it is ended; tests/serve_env/test_server.py",
}


def test_every_command_of_the_readme_works_as_printed(workshop: Path) -> None:
    """On the fast profile, on what the walk has left: what it has done is done. What tests/docs types is not typed
    again."""
    folder = workshop / "readme"
    folder.mkdir()
    ways = {"HTTPS_PROXY": "http://127.0.0.1:9", "URL": "http://127.0.0.1:9", "PROFILE": "cpu-fast"}
    places = {"RECIPE_RUNS": str(workshop / "runs"), "RECIPE_CONFIGS": str(workshop / "configs")}
    typed = []
    for command in walk(ROOT / "README.md"):
        if (
            isinstance(command, str)
            or is_typed(command, folder)
            or any(re.match(pattern, command.text) for pattern in ELSEWHERE)
        ):
            continue
        text = command.text.replace("runs/cpu/", f"{workshop}/runs/cpu-fast/")
        done = subprocess.run(
            ["bash", "-c", text], cwd=ROOT, env={**os.environ, **places, **ways}, capture_output=True, text=True,
            timeout=600, check=False,
        )  # fmt: skip
        refusal = next((said for pattern, said in REFUSED.items() if re.match(pattern, command.text)), None)
        assert (done.returncode == 0) is (refusal is None), f"{text}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
        assert (refusal or "") in done.stderr and "Traceback" not in done.stderr, done.stderr[-3000:]
        typed.append(command.text.split()[1])
    assert {"train-v9b", "awq-v9b", "sweep-v8", "eval-v8", "eval-v9b", "push-v9b", "smoke", "fetch-esci"} <= set(typed)


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
