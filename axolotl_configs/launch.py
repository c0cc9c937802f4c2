"""Runs ``axolotl train`` on a rendered YAML in a run folder: starts, watches, resumes, and says when it is done."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

from axolotl_configs.curve import write_curve
from axolotl_configs.events import EVENTS, Event, Follower, read_events
from spine.adapter import CONFIG, WEIGHTS
from spine.atomic import disk_full_explained, write_text
from spine.checkpoint import read_header
from spine.children import CPU_MEMORY, end_of_log, running, what_it_said
from spine.environments import python, variables
from spine.errors import RecipeError
from spine.manifest import Step
from spine.paths import ROOT, shown

LOG = "train.log"
_POLL_SECONDS = 0.2
OnEvent = Callable[[Event], None]


@dataclass(frozen=True)
class Trained:
    """Held-out losses are in nats per answer token; ``base_loss`` is the model's before its first step."""

    folder: Path
    steps: int
    base_loss: float | None
    final_loss: float | None


@dataclass(frozen=True)
class Job:
    """What axolotl is asked to do.

    Attributes:
        yaml: its configuration.
        processes: one a GPU, or 1 on a CPU.
        launch_args: for ``axolotl train``, instead of the launcher chosen here (several nodes, say).
        offline: the base model is a folder on this disk.
        devices: for CUDA_VISIBLE_DEVICES; None: as it is.
    """

    yaml: str
    processes: int
    launch_args: Sequence[str]
    offline: bool
    devices: str | None = None


def launcher(processes: int) -> list[str]:
    """For ``axolotl train``. One process needs none: it would import torch a second time, ten seconds on a laptop.

    Several are torchrun's, not accelerate's: that one heeds a file of the user's own, which may say another number.
    ``standalone``: on a free port, so that two runs on one machine do not meet.
    """
    if processes == 1:
        return ["--launcher", "python"]
    return ["--launcher", "torchrun", "--", "--standalone", f"--nproc_per_node={processes}"]


def train(step: Step, job: Job, on_event: OnEvent, lock: int) -> Trained:
    """Trains until ``step.folder`` holds the adapter; goes on from the last whole checkpoint if there is one.

    Args:
        step: folder and inputs; the manifest is written to it at the end.
        on_event: is called with each event of ``axolotl_configs.events``.
        lock: the run's lock, see ``spine.lock``; inherited by axolotl.

    Raises:
        RecipeError: axolotl failed (with the end of its log), or ended without a trained adapter.
        KeyboardInterrupt: stopped by the user; the checkpoints stay.
    """
    folder = step.folder
    prepare_folder(step)
    with disk_full_explained(folder):
        write_text(folder / "axolotl.yaml", job.yaml)
        write_text(folder / "started.json", json.dumps({"key": step.key, "inputs": step.inputs}, default=str))
    versions = _watch(folder, job, on_event, lock)
    trained = read_result(folder)
    with disk_full_explained(folder):
        outputs = [WEIGHTS, CONFIG, "axolotl.yaml", "trainer_state.json", *write_curve(folder)]
        facts: dict[str, Any] = {"base_loss": trained.base_loss, "final_loss": trained.final_loss}
        step.finish(outputs, steps=trained.steps, environment=versions, **facts)
    return trained


def prepare_folder(step: Step) -> None:
    """Makes the folder ready to train in: another run's results are set aside, broken checkpoints removed.

    Nothing that took hours is ever deleted: a folder trained with other inputs is renamed ``train.1``, ``train.2``.
    """
    folder = step.folder
    trained = (folder / WEIGHTS).exists() or any(folder.glob("checkpoint-*"))
    if trained and not goes_on(step):
        number = 1
        while (aside := folder.with_name(f"{folder.name}.{number}")).exists():
            number += 1
        folder.rename(aside)
        print(f"inputs or settings have changed: the earlier training now lies in {shown(aside)}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    for checkpoint in folder.glob("checkpoint-*"):
        if not _is_written(checkpoint):
            print(f"removing {shown(checkpoint)}: it was cut off while being written", flush=True)
            shutil.rmtree(checkpoint)
        elif bad := _damaged(checkpoint):
            aside = checkpoint.with_name(f"damaged-{checkpoint.name}")
            print(f"{shown(checkpoint)} is left aside as {aside.name}: {bad[0]} is damaged", flush=True)
            shutil.rmtree(aside, ignore_errors=True)
            checkpoint.rename(aside)


def goes_on(step: Step) -> bool:
    """Whether what lies in the step's folder was begun with the same inputs."""
    return (_read_json(step.folder / "started.json") or {}).get("key") == step.key


def started_with(folder: Path) -> dict[str, Any]:
    """The inputs of what lies in a training's folder, finished or not; nothing where nobody knows."""
    found: dict[str, Any] = (_read_json(folder / "started.json") or {}).get("inputs", {})
    return found


def is_whole(checkpoint: Path) -> bool:
    """Whether training can go on from it."""
    return _is_written(checkpoint) and not _damaged(checkpoint)


def _damaged(checkpoint: Path) -> list[str]:
    """What torch could not load of it: its files are zip archives, whose end tells what they hold."""
    files = [path for path in checkpoint.rglob("*") if path.suffix in (".pt", ".pth", ".bin")]
    return sorted(str(path.relative_to(checkpoint)) for path in files if not is_zipfile(path))


def _is_written(checkpoint: Path) -> bool:
    """Whether nothing cut it off while it was written: transformers writes ``trainer_state.json`` last."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        read_header(checkpoint / WEIGHTS)
    except (OSError, ValueError, RecipeError):
        return False
    return True


def _command(folder: Path, job: Job) -> list[str]:
    words = job.launch_args or launcher(job.processes)
    return [str(python("train").parent / "axolotl"), "train", str(folder / "axolotl.yaml"), *words]


def _watch(folder: Path, job: Job, on_event: OnEvent, lock: int) -> dict[str, str]:
    """Runs axolotl to its end, passing events on; returns the versions it ran with."""
    environment = variables("train", offline=job.offline)
    if job.devices is not None:
        environment["CUDA_VISIBLE_DEVICES"] = job.devices
    if not job.devices:
        environment = {**CPU_MEMORY, **environment}
    follower = Follower(folder / EVENTS)
    versions: dict[str, str] = {}

    def pass_on() -> None:
        for event in follower.new():
            versions.update(event.get("versions", {}))
            on_event(event)

    begin = (folder / LOG).stat().st_size if (folder / LOG).exists() else 0  # an earlier attempt's lines stay
    with (
        (folder / LOG).open("ab") as log,
        running(
            _command(folder, job), cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, pass_fds=(lock,),
        ) as child,
    ):  # fmt: skip
        while child.poll() is None:
            pass_on()
            time.sleep(_POLL_SECONDS)
        pass_on()
    if child.returncode != 0:
        raise _failure(folder / LOG, begin, child.returncode)
    return versions


_KNOWN_FAILURES = {
    "out of memory": "lower micro_batch_size or sequence_len (SET=...), or choose a profile with a smaller model",
    "No space left on device": "free some space; the same command goes on from the last checkpoint",
    "LocalEntryNotFoundError": 'the model is not on this disk and the hub is out of reach: SET="base_model=/folder"',
    "GatedRepoError": "accept the model's licence on the hub, then: hf auth login",
}


def _failure(log: Path, begin: int, code: int) -> RecipeError:
    tail = end_of_log(log, begin=begin)
    text = "\n".join(tail)
    way_out = next((hint for mark, hint in _KNOWN_FAILURES.items() if mark in text), f"the whole log: {shown(log)}")
    return RecipeError(f"axolotl train {what_it_said(tail, code)}", where=shown(log), way_out=way_out)


def read_result(folder: Path) -> Trained:
    """What a training reached, from the files it wrote.

    Raises:
        RecipeError: it did not reach its last step, or its loss is not finite.
    """
    history = (_read_json(folder / "trainer_state.json") or {}).get("log_history", [])
    last = _last_event(folder)
    if last is None or last["step"] < last["steps"] or not (folder / WEIGHTS).is_file():
        raise RecipeError("axolotl ended before the last step", where=shown(folder / LOG), way_out="run it again")
    losses = [entry["eval_loss"] for entry in history if "eval_loss" in entry]
    numbers = losses + [entry["loss"] for entry in history if "loss" in entry]
    if not all(math.isfinite(value) for value in numbers):
        raise RecipeError("the loss is not finite", where=shown(folder / LOG), way_out="lower learning_rate (SET=...)")
    return Trained(folder, last["steps"], losses[0] if losses else None, losses[-1] if losses else None)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _last_event(folder: Path) -> Event | None:
    """The event that ended the last attempt; None when it was cut off."""
    end = None
    for event in read_events(folder / EVENTS):
        if event["kind"] in ("begin", "end"):
            end = event if event["kind"] == "end" else None
    return end
