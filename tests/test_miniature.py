"""Training for real: the user's commands, real axolotl, real 4-bit QLoRA. Slow; `make test` runs it."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from axolotl_configs.events import read_events
from spine import manifest
from spine.paths import CONFIGS, ROOT, VENVS
from spine.stamp import stamp
from tests.environments import RECIPE, slow_and_needs

pytestmark = slow_and_needs("train")
MODEL = ROOT / "models" / "SmolLM2-135M-Instruct"
STEPS = 16


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cpu profile with a pico model and few steps, and the runs it makes; the rest is as shipped."""
    folder = tmp_path_factory.mktemp("workshop")
    subprocess.run([str(RECIPE), "model"], cwd=ROOT, check=True)
    pico = [str(VENVS / "train" / "bin" / "python"), "-m", "recipe.smoke.pico", str(MODEL), str(folder / "pico")]
    subprocess.run(pico, cwd=ROOT, env={**os.environ, "HF_HUB_OFFLINE": "1"}, check=True)
    shutil.copytree(CONFIGS, folder / "configs", ignore=shutil.ignore_patterns("__pycache__"))
    profile = folder / "configs" / "profiles" / "cpu.yaml"
    text = profile.read_text().replace("models/SmolLM2-135M-Instruct", str(folder / "pico"))
    text = text.replace("embedded: true ", "embedded: false ").replace("rows: 1200 ", f"rows: {4 * STEPS} ")
    text = text.replace("val_rows: 65", "val_rows: 39").replace("save_steps: 0.2", "save_steps: 4")
    # Row by row, so that the steps are known; packed is the real model's, below.
    row_by_row = "axolotl:\n  sample_packing: false\n  pad_to_sequence_len: false\n  micro_batch_size: 4\n"
    profile.write_text(text.replace("axolotl:\n", row_by_row))
    return folder


@pytest.fixture
def start(workshop: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `recipe` in the workshop; whatever still runs at the end of the test is killed."""
    running: list[subprocess.Popen[str]] = []
    places = {"RECIPE_RUNS": str(workshop / "runs"), "RECIPE_CONFIGS": str(workshop / "configs")}
    environment = {**os.environ, **places, "PROFILE": "cpu"}

    def begin(*arguments: str) -> subprocess.Popen[str]:
        command = [str(RECIPE), *arguments]
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        running.append(subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, **streams))
        return running[-1]

    yield begin
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    output, _ = process.communicate(timeout=900)
    assert process.returncode == code, output
    return output


def events(folder: Path) -> list[dict[str, Any]]:
    return list(read_events(folder / "events.jsonl"))


def wait_for_step(folder: Path, step: int, process: subprocess.Popen[str]) -> None:
    for _ in range(3000):
        if any(event["kind"] == "step" and event["step"] >= step for event in events(folder)):
            return
        assert process.poll() is None, finish(process)
        time.sleep(0.1)
    pytest.fail(f"no step {step} after five minutes")


def alive(pattern: str) -> bool:
    return subprocess.run(["pgrep", "-f", pattern], capture_output=True, check=False).returncode == 0


def test_a_killed_training_goes_on_and_a_finished_one_is_skipped(
    workshop: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    run = workshop / "runs" / "cpu" / "v8"
    first = start("train", "v8")
    wait_for_step(run / "train", 5, first)  # checkpoint-4 lies there, or is being written

    second = finish(start("train", "v8"), code=1)
    assert f"another run (pid {first.pid}) is at work in this folder" in second

    first.kill()  # no chance to tidy up: axolotl must not live on as an orphan
    first.wait()
    for _ in range(300):
        if not alive(str(run / "train" / "axolotl.yaml")):
            break
        time.sleep(0.1)
    assert not alive(str(run / "train" / "axolotl.yaml"))
    assert not (run / "train" / manifest.NAME).exists()

    output = finish(start("train", "v8"))
    begins = [event["step"] for event in events(run / "train") if event["kind"] == "begin"]
    assert begins[0] == 0 and begins[-1] >= 4, "the second training did not start from a checkpoint"
    assert "held-out" in output and f"({STEPS} steps)" in output
    with (run / "train" / "loss.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [int(row["step"]) for row in rows if row["loss"]] == list(range(1, STEPS + 1))
    assert int(next(row["step"] for row in rows if row["eval_loss"])) == 0, "the base model's held-out loss is missing"
    assert (run / "train" / "loss.png").read_bytes().startswith(b"\x89PNG")
    found = manifest.read(run / "train")
    assert found is not None and found["environment"]["axolotl"] and found["steps"] == STEPS

    began = time.monotonic()
    assert "is done and up to date, nothing to do" in finish(start("train", "v8"))
    assert len(events(run / "train")) and time.monotonic() - began < 60
    assert [event["step"] for event in events(run / "train") if event["kind"] == "begin"] == begins


def test_ctrl_c_stops_axolotl_and_says_how_to_go_on(
    workshop: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    run = workshop / "runs" / "cpu" / "v8+seed=5"
    process = start("train", "v8", "--set", "seed=5")
    wait_for_step(run / "train", 1, process)
    process.send_signal(signal.SIGINT)
    assert "the same command goes on from the last checkpoint" in finish(process, code=130)
    assert not alive(str(run / "train" / "axolotl.yaml"))
    assert not (run / "train" / manifest.NAME).exists()


def workers(run: Path) -> list[int]:
    """The training's processes below torchrun, by their command lines."""
    found = subprocess.run(
        ["pgrep", "-f", f"axolotl.cli.train {re.escape(str(run))}/train/axolotl.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    return [pid for pid in map(int, found.stdout.split()) if "torchrun" not in Path(f"/proc/{pid}/cmdline").read_text()]


def test_two_processes_share_the_rows_and_a_killed_worker_is_told_and_gone_on_from(
    workshop: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    run = workshop / "runs" / "cpu" / "v8+seed=6"
    command = ["train", "v8", "--set", "seed=6", "--", "--launcher", "torchrun", "--", "--nproc_per_node=2"]
    first = start(*command)
    wait_for_step(run / "train", 5, first)
    _, second = workers(run)
    os.kill(second, signal.SIGKILL)
    told = finish(first, code=1)
    assert "killed by signal 9" in told and "ChildFailedError" not in told
    assert not workers(run) and not (run / "train" / manifest.NAME).exists()

    output = finish(start(*command))
    begins = [event["step"] for event in events(run / "train") if event["kind"] == "begin"]
    assert len(begins) == 2 and begins[1] >= 4, "each process took itself for the first, or began anew"
    assert f"({STEPS} steps)" in output and "micro_batch_size: 2" in (run / "train" / "axolotl.yaml").read_text()
    found = manifest.read(run / "train")
    assert found is not None and found["final_loss"] < found["base_loss"] and (run / "train" / "loss.png").exists()


def test_two_nodes_over_loopback_by_the_documented_commands(
    workshop: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """docs/gpus.md, "Several machines", with one process a node; both nodes are this machine."""
    page = (ROOT / "docs" / "gpus.md").read_text()
    options = page.split('LAUNCH="')[1].split('"')[0].split()
    other = page.split("axolotl train runs/8xa100/v8/train/axolotl.yaml")[1].split("\n\n")[0].replace("\\", " ").split()
    assert other == options, "the two nodes are told different things"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {
        "--nproc_per_node=8": "--nproc_per_node=1",
        "--rdzv_endpoint=FIRST_NODE:29500": f"--rdzv_endpoint=127.0.0.1:{port}",
    }
    options = [told.pop(option, option) for option in options]
    assert not told, "the page names other options"
    yaml = workshop / "runs" / "cpu" / "v8+seed=7" / "train" / "axolotl.yaml"
    one = start("train", "v8", "--set", "seed=7", "--", *options)
    while not yaml.exists():
        assert one.poll() is None, finish(one)
        time.sleep(0.1)
    path = os.pathsep.join([str(VENVS / "train" / "bin"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "AXOLOTL_DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    two = subprocess.run(
        ["axolotl", "train", str(yaml), *options],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert two.returncode == 0, two.stderr[-3000:]
    assert f"({STEPS} steps)" in finish(one)
    assert [event["kind"] for event in events(yaml.parent)].count("begin") == 1
    assert "gradient_accumulation_steps: 1" in yaml.read_text() and "micro_batch_size: 2" in yaml.read_text()


def test_a_second_round_starts_at_the_first_rounds_model(
    workshop: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """Needs the adapter of v8 from the first test; v7 was never trained here, so v7b is refused. Both starts are at one
    model, but for the rounding of the merged one to NF4.
    """
    assert "-> make train-v7" in finish(start("train", "v7b"), code=1)
    shape = finish(start("train", "v9b", "--set", "lora_r=8"), code=1)
    assert "lora_r is 8, but the parent's adapter was trained with 64" in shape
    runs, losses = workshop / "runs" / "cpu", dict[str, float]()
    parent = manifest.read(runs / "v8" / "train")
    assert parent is not None
    for how in ("adapter", "merged"):
        output = finish(start("train", "v9b", "--set", f"val_rows=13 start={how}"))
        child = manifest.read(runs / f"v9b+start={how},val_rows=13" / "train")
        assert child is not None and "parent model" in output
        assert child["inputs"]["start"] == {"how": how, "mixture": [[stamp(runs / "v8" / "train"), 0.5625]]}
        losses[how] = child["base_loss"]
        assert losses[how] < parent["base_loss"], "the second round did not start from what the first had learnt"
    assert losses["merged"] == pytest.approx(losses["adapter"], rel=0.02)


def test_what_axolotl_says_when_it_fails_is_shown(workshop: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    output = finish(start("train", "v8", "--set", "lora_target_linear=false"), code=1)
    assert "axolotl train ended with code 1" in output and "  | " in output and "train.log" in output
    assert "Traceback (most" not in output.split("  | ")[0]


def test_the_real_model_learns(tmp_path: Path) -> None:
    """`make train-v8` as the README has it, with fewer rows: the held-out loss falls clearly below the base's."""
    environment = {
        **os.environ,
        "RECIPE_RUNS": str(tmp_path),
        "PROFILE": "cpu",
        "SET": "rows=80 val_rows=39 eval_questions=12",
        "DATA": "",
    }
    done = subprocess.run(
        ["make", "train-v8"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1500, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.splitlines()[0].startswith("profile cpu")
    train = next((tmp_path / "cpu").glob("v8+*")) / "train"
    found = manifest.read(train)
    assert found is not None and found["final_loss"] < 0.7 * found["base_loss"]
    assert f"{found['base_loss']:.3f} (base model) -> {found['final_loss']:.3f}" in done.stdout
    adapter = json.loads((train / "adapter_config.json").read_text())
    assert (adapter["r"], adapter["lora_alpha"], adapter["peft_type"]) == (64, 32, "LORA")
    with (train / "loss.csv").open() as table:
        asked = [row for row in csv.DictReader(table) if row["eval_score"]]
    assert asked[0]["step"] == "0" and len(asked) >= 3  # as often as the held-out loss
    assert all(0 <= float(row["eval_score"]) <= 1 for row in asked) and "score 0." in done.stdout + done.stderr
