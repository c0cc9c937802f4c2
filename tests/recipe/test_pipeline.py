"""How many GPUs a run takes, which of them it sees, and on how many its checkpoints go on."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import pytest

from axolotl_configs.render import Resolved, resolve
from dataset_builders.task import task_names
from recipe.commands import options as common
from recipe.steps.train import require_same_split, visible
from spine.errors import RecipeError
from spine.hardware import Device, Machine
from spine.manifest import Step
from tests.axolotl_configs.test_launch import adapter_bytes, checkpoint

LARGE = tuple(Device("A100", 80.0, 8.0, f"GPU-{at}") for at in range(6))
MACHINE = Machine((Device("GT 710", 2.0, 3.5, "GPU-display"), *LARGE), 16, 128)


def on(profile: str, there: int) -> Resolved:
    return resolve("v8", profile, {}, task_names(), there)


def test_what_is_trained_is_for_the_gpus_that_are_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(common, "this_machine", lambda: MACHINE)
    assert common.resolve_run("v8", "8xa100", "").processes == 8  # shown and planned as it is
    assert "trains on" not in capsys.readouterr().err
    assert common.resolve_run("v8", "8xa100", "", ()).processes == 4
    assert "trains on 4 of the 6 GPUs: 6 do not divide the 32 bins of a step" in capsys.readouterr().err
    assert common.resolve_run("v8", None, "").profile.hardware.gpus == 4
    assert "profile 4xa100 (chosen for this machine: 1 x GT 710" in capsys.readouterr().err


def test_a_launcher_of_ones_own_says_how_many_processes_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "this_machine", lambda: MACHINE)
    two_nodes = ["--launcher", "torchrun", "--", "--nnodes=2", "--nproc_per_node=8"]
    spread = common.resolve_run("v8", "8xa100", "", two_nodes)
    assert (spread.processes, spread.axolotl["gradient_accumulation_steps"]) == (16, 2)
    with pytest.raises(RecipeError, match=r"LAUNCH: 6 processes do not divide the 32 bins of a step\n  -> start 4 of"):
        common.resolve_run("v8", "8xa100", "", ["--launcher", "torchrun", "--", "--nproc_per_node=6"])
    two = common.resolve_run("v8", "cpu", "gradient_accumulation_steps=4", ["--nproc_per_node=2"])
    assert two.axolotl["gradient_accumulation_steps"] == 2


def test_axolotl_sees_the_gpus_of_the_run_and_no_other() -> None:
    assert visible(MACHINE, on("8xa100", 6), []) == "GPU-0,GPU-1,GPU-2,GPU-3"
    assert visible(MACHINE, on("8xa100", 6), ["--launcher", "torchrun"]) == ",".join(gpu.uuid for gpu in LARGE)
    assert visible(MACHINE, on("cpu", 1), []) == ""


@pytest.fixture
def begun(tmp_path: Path) -> tuple[Step, Path]:
    """A training with one whole checkpoint."""
    step = Step(tmp_path / "train", "train", {"lr": 1})
    step.folder.mkdir()
    (step.folder / "started.json").write_text(json.dumps({"key": step.key}))
    return step, checkpoint(step.folder, 10, adapter_bytes())


def save_in_parts(saved: Path, parts: int) -> None:
    """As DeepSpeed names them."""
    (saved / "global_step10").mkdir()
    for rank in range(parts):
        part = saved / "global_step10" / f"bf16_zero_pp_rank_{rank}_mp_rank_00_optim_states.pt"
        ZipFile(part, "w").close()


def test_a_checkpoint_of_zero_goes_on_on_as_many_gpus_only(begun: tuple[Step, Path]) -> None:
    step, saved = begun
    save_in_parts(saved, 8)
    require_same_split(on("8xa100", 8), step)
    for there in (4, 1):
        with pytest.raises(RecipeError, match=r"begun on 8 GPUs with DeepSpeed, .* cannot go on (on 4|without)"):
            require_same_split(on("8xa100", there), step)
    require_same_split(on("8xa100", 4), Step(step.folder, "train", {"lr": 2}))  # other inputs: it is set aside


def test_a_checkpoint_without_deepspeed_goes_on_without_it_on_any_number(begun: tuple[Step, Path]) -> None:
    step, _ = begun
    for profile, there in (("8xa100", 1), ("4xt4", 4), ("4xt4", 2), ("cpu", 1)):
        require_same_split(on(profile, there), step)
    with pytest.raises(RecipeError, match="begun without DeepSpeed"):
        require_same_split(on("8xa100", 8), step)
    cut_off = checkpoint(step.folder, 20, adapter_bytes()[:-1])  # is removed before anything goes on from it
    save_in_parts(cut_off, 3)
    require_same_split(on("4xt4", 4), step)
