"""Training as a step: everything it needs ensured and asked about first; skipped when it is done."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from axolotl_configs import launch
from axolotl_configs.costs.architecture import Architecture, model_config
from axolotl_configs.costs.estimate import check_fits, training_bytes
from axolotl_configs.render import Resolved
from axolotl_configs.select import fitting, require_gpus, require_meeting
from recipe.steps.data import DataFrom, built_rows, ensure_data
from spine import child_job, manifest
from spine.adapter import CONFIG
from spine.atomic import require_free
from spine.checkpoint import read_json
from spine.code import code_of
from spine.environments import python
from spine.errors import RecipeError
from spine.hardware import Machine, this_machine
from spine.lock import locked
from spine.manifest import Step, file_digest
from spine.models import is_local
from spine.paths import ROOT, shown
from spine.progress import Meter
from spine.runs import Run
from spine.stamp import stamp
from spine.terminal import say


def ensure_trained(resolved: Resolved, data: DataFrom, launch_args: Sequence[str]) -> launch.Trained:
    """The whole of ``recipe train``: model, data, preflight, axolotl; skipped when it is done already."""
    machine = this_machine()
    require_gpus(machine, resolved.run.profile, resolved.profile.hardware)
    require_meeting(launch_args)
    with locked(resolved.run.folder) as lock:
        ensure_data(resolved, data)
        step = train_step(resolved)
        if step.is_done():
            say(f"train: {shown(step.folder)} is done and up to date, nothing to do")
            return launch.read_result(step.folder)
        python("train")  # says how to install it, before anything else is tried
        _preflight(resolved, step)
        if resolved.axolotl.get("deepspeed"):
            say(f"train: {require_accepted(resolved)}")
        progress = TrainingProgress()
        with progress.meter:
            devices = visible(machine, resolved, launch_args) if machine.gpus else None
            offline = is_local(resolved.profile.base_model)
            job = launch.Job(resolved.yaml, resolved.processes, launch_args, offline, devices)
            return launch.train(step, job, progress.on_event, lock)


def train_step(resolved: Resolved) -> Step:
    """The step that trains the run's adapter.

    Raises:
        RecipeError: its rows are not there; it is a second round, and the first is not trained.
    """
    rows, parent = built_rows(resolved), resolved.parent
    if parent and manifest.read(parent.train) is None:
        raise RecipeError(
            f"{resolved.blend.name} is a second round: it trains the adapter of {parent.blend} on, which is not there",
            where=shown(parent.train),
            way_out=" ".join([f"make train-{parent.blend}", *_set(parent)]),
        )
    deepspeed = resolved.lasting.get("deepspeed")
    inputs = {
        "axolotl": resolved.lasting,
        "data": {name: rows["outputs"][name]["sha256"] for name in ("train.parquet", "val.parquet")},
        "base": base_stamp(resolved),
        "parent": stamp(parent.train) if parent else None,
        "deepspeed": stamp(ROOT / deepspeed) if deepspeed else None,
        "environment": file_digest(ROOT / "requirements" / "train.txt"),
        "code": code_of("axolotl_configs.plugin"),
    }
    return Step(resolved.run.train, "train", inputs)


def base_stamp(resolved: Resolved) -> str:
    """Of the base model: its content, or its name on the hub."""
    base = resolved.profile.base_model
    return stamp(ROOT / base) if is_local(base) else base


def _set(run: Run) -> list[str]:
    """As it is typed, if there is anything to type."""
    return [f"SET={shlex.quote(' '.join(f'{key}={value}' for key, value in run.overrides))}"] if run.overrides else []


def visible(machine: Machine, resolved: Resolved, launch_args: Sequence[str]) -> str:
    """The GPUs that axolotl may see, for CUDA_VISIBLE_DEVICES: those of the run, no display's card, not one too many.

    A CPU profile sees none: axolotl would put the model on the first. A launcher of the user's chooses among all that
    fit.
    """
    fit = fitting(machine, resolved.profile.hardware)
    return ",".join(gpu.uuid for gpu in (fit if launch_args else fit[: resolved.processes]))


def require_same_split(resolved: Resolved, step: Step) -> None:
    """ZeRO saves the optimiser's state in as many parts as there are GPUs, and loads it on as many only.

    DeepSpeed 0.19 says so after the model is loaded ("a DP world size of 8 but the current world size is 4"); without
    DeepSpeed transformers begins with an empty optimiser, without a word.

    Raises:
        RecipeError: the last checkpoint was saved in another number of parts.
    """
    whole = filter(launch.is_whole, step.folder.glob("checkpoint-*"))
    checkpoint = max(whole, key=lambda path: path.stat().st_mtime, default=None)
    if checkpoint is None or not launch.goes_on(step):
        return
    saved = len(list(checkpoint.glob("global_step*/*zero_pp_rank_*_optim_states.pt")))
    now = resolved.processes if resolved.axolotl.get("deepspeed") else 0
    if saved != now:
        begun, going = (f"on {parts} GPUs with DeepSpeed" if parts else "without DeepSpeed" for parts in (saved, now))
        raise RecipeError(
            f"this training was begun {begun}, its optimiser's state cannot go on {going}",
            where=shown(checkpoint),
            way_out=f"show it as many GPUs again (CUDA_VISIBLE_DEVICES); to begin anew: mv {shown(step.folder)} aside",
        )


def _preflight(resolved: Resolved, step: Step) -> None:
    """What would fail after minutes or hours, asked before: disk, length, checkpoints, the parent's shape."""
    config = model_config(resolved.profile.base_model)
    check_fits(resolved.axolotl, config)
    needed = training_bytes(resolved.axolotl, Architecture.of(config))
    require_free(resolved.run.folder, needed, "training (adapter and checkpoints)")
    require_same_split(resolved, step)
    if not resolved.parent:
        return
    trained = read_json(resolved.parent.train / CONFIG)
    for ours, theirs in (("lora_r", "r"), ("lora_alpha", "lora_alpha")):
        if resolved.axolotl[ours] != trained[theirs]:
            raise RecipeError(
                f"{ours} is {resolved.axolotl[ours]}, but the parent's adapter was trained with {trained[theirs]}",
                where=resolved.changed.get(ours, "recipe.yaml.j2"),
                way_out="a second round keeps the shape of the first; remove the change or train the parent anew",
            )


def require_accepted(resolved: Resolved) -> str:
    """Asks axolotl and DeepSpeed, in the train environment; half a minute. Returns their word for it.

    Raises:
        RecipeError: one of them refuses the settings, in its own words.
    """
    asked = {"yaml": resolved.yaml, "processes": resolved.processes}
    return str(child_job.run("train", "axolotl_configs.validate", asked, quiet=True))


class TrainingProgress:
    """Turns axolotl's events into one line: steps, rate, ETA, loss, held-out loss."""

    def __init__(self) -> None:
        self.meter = Meter("training", "step")
        self._loss = ""
        self._held_out: list[float] = []

    def on_event(self, event: Any) -> None:
        if event["kind"] == "begin":
            say(f"train: axolotl begins at step {event['step']} of {event['steps']}")
        if "loss" in event:
            self._loss = f"loss {event['loss']:.3f}"
        if "eval_loss" in event:
            self._held_out.append(event["eval_loss"])
        held_out = "  held-out " + " -> ".join(f"{loss:.3f}" for loss in self._held_out) if self._held_out else ""
        looking = "  (scoring held-out rows)" if event["kind"] == "evaluating" else ""
        if event["kind"] != "begin":
            self.meter.update(event["step"], event["steps"], self._loss + held_out + looking)
