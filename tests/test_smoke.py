"""`recipe smoke` for real on the cpu profile: every step with the real model, and steps that fail. Slow."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from spine.paths import ROOT, VENVS
from tests.environments import RECIPE, slow_and_needs

pytestmark = slow_and_needs("train", "serve", "quantize")
STEPS = ["machine", "plan", "pico", "real", "merge", "awq", "answers"]


def smoke(folder: Path, *arguments: str, code: int = 0, **variables: str) -> str:
    """What `recipe smoke` printed. What it does not read, its children do not read either: LIMIT, ALPHA, DATA."""
    ours = {"RECIPE_RUNS": str(folder), "SET": "", "PROFILE": "", "LIMIT": "1", "ALPHA": "0.1", "DATA": "/nowhere"}
    done = subprocess.run(
        [str(RECIPE), "smoke", "-p", "cpu", *arguments], cwd=ROOT, env={**os.environ, **ours, **variables},
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_every_step_works_and_the_page_says_so(tmp_path: Path) -> None:
    output = smoke(tmp_path)
    folder = tmp_path / "cpu" / "smoke"
    page, found = (folder / "smoke.md").read_text(), json.loads((folder / "smoke.json").read_text())
    steps = found["steps"]
    assert list(steps) == STEPS and not any(step["message"] for step in steps.values())
    assert page.startswith("# Smoke of cpu: every step is ok\n")
    for name in STEPS:
        assert f"| {name} | ok | " in page and f" {name} " in output
    real, planned = steps["real"]["numbers"], steps["real"]["planned"]
    # A step is one bin, filled up: what the plan counted, and what axolotl saw.
    assert real["tokens_per_second"] * real["seconds_a_step"] == pytest.approx(640, rel=0.01)
    assert planned["tokens_per_second"] * planned["seconds_a_step"] == pytest.approx(640, rel=0.01)
    assert 1 < real["gib"] < planned["gib"]
    assert "GB/s" in steps["machine"]["figure"] and "GB/s" in steps["merge"]["figure"]
    assert steps["awq"]["numbers"]["kl"] < steps["awq"]["numbers"]["plain_rounding_kl"]
    assert steps["answers"]["numbers"] == {"questions": 3}
    versions = steps["machine"]["numbers"]["versions"]
    assert {"train", "quantize", "serve"} == versions["torch"].keys() and versions["axolotl"].keys() == {"train"}
    assert "| seconds a step | " in page and "| torch | " in page and "    recipe train smoke -p cpu --set " in page


def test_a_step_that_fails_is_told_and_does_not_stop_the_others(tmp_path: Path) -> None:
    """A setting that axolotl refuses, and an environment that is not there."""
    places = tmp_path / "venvs"
    places.mkdir()
    for name in ("core", "train"):
        (places / name).symlink_to(VENVS / name)
    arguments = ["--set", "lora_target_linear=false"]
    for step in ("machine", "pico", "merge", "awq"):
        arguments += ["--only", step]
    output = smoke(tmp_path / "runs", *arguments, code=1, RECIPE_VENVS=str(places))
    folder = next((tmp_path / "runs" / "cpu").glob("smoke+*"))
    page, steps = (folder / "smoke.md").read_text(), json.loads((folder / "smoke.json").read_text())["steps"]
    assert list(steps) == ["machine", "pico", "merge", "awq"] and not steps["machine"]["message"]
    assert page.startswith("# Smoke of cpu: 3 of 4 steps failed; not tried: plan, real, answers\n")
    pico, merge, awq = (steps[name]["message"] for name in ("pico", "merge", "awq"))
    assert "axolotl train ended with code 1" in pico and "  | " in pico
    assert "the real model has not been trained" in merge
    assert "the quantize environment is not installed" in awq and "make env-quantize" in awq
    for message in (pico, merge, awq):
        assert message in output and f"    {message.splitlines()[-1]}" in page
    assert Path(ROOT, steps["pico"]["log"]).read_text().startswith("$ python -m recipe.smoke.pico ")
