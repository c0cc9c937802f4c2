"""Training as a step: everything it needs ensured and asked about first; skipped when it is done."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from axolotl_configs import launch
from axolotl_configs.costs.architecture import Architecture, model_config
from axolotl_configs.costs.estimate import check_fits, training_bytes
from axolotl_configs.curve import SCORE
from axolotl_configs.render import Resolved
from axolotl_configs.rounds import Start
from axolotl_configs.select import fitting, require_gpus, require_meeting
from postprocess.merge.plan import MergeJob
from postprocess.merge.step import checked_plan, merge_steps
from recipe.steps.data import DataFrom, built_rows, ensure_data, ensure_model
from recipe.steps.merge import base_folder, ensure_one_adapter, ensure_produced
from recipe.steps.mixtures import require_trained
from spine import child_job, manifest
from spine.adapter import open_adapter
from spine.atomic import require_free
from spine.code import code_of
from spine.environments import python
from spine.errors import RecipeError
from spine.hardware import Machine, this_machine
from spine.lock import locked
from spine.manifest import Step, file_digest
from spine.models import is_local
from spine.one_adapter import rank_of, refuse_more_than_factors
from spine.paths import ROOT, shown
from spine.progress import Meter
from spine.stamp import stamp
from spine.terminal import say

# Keys of the YAML that an adapter's shape comes of.
_SHAPING = re.compile(r"lora_(r|alpha|dropout|target_\w+|modules_to_save|\w+_pattern)$|peft_(use_\w+|layer\w*)$")


def ensure_trained(resolved: Resolved, data: DataFrom, launch_args: Sequence[str]) -> launch.Trained:
    """The whole of ``recipe train``: model, data, preflight, axolotl; skipped when it is done already."""
    machine = this_machine()
    require_gpus(machine, resolved.run.profile, resolved.profile.hardware)
    require_meeting(launch_args)
    with locked(resolved.run.folder) as lock:
        if resolved.start:
            require_start(resolved, resolved.start)  # before its rows are built
        ensure_data(resolved, data)
        step = train_step(resolved)
        if step.is_done():
            say(f"train: {shown(step.folder)} is done and up to date, nothing to do")
            return launch.read_result(step.folder)
        python("train")  # says how to install it, before anything else is tried
        _preflight(resolved, step)
        if resolved.start:
            ensure_start(resolved, resolved.start)
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
    rows, start = built_rows(resolved), resolved.start
    if start:
        require_trained(start.parent, start.before)
    deepspeed = resolved.lasting.get("deepspeed")
    inputs = {
        "axolotl": resolved.lasting,
        "data": {name: rows["outputs"][name]["sha256"] for name in ("train.parquet", "val.parquet")},
        "base": base_stamp(resolved),
        "start": start.as_json() if start else None,
        "deepspeed": stamp(ROOT / deepspeed) if deepspeed else None,
        "environment": file_digest(ROOT / "requirements" / "train.txt"),
        "code": code_of("axolotl_configs.plugin"),
    }
    return Step(resolved.run.train, "train", inputs)


def base_stamp(resolved: Resolved) -> str:
    """Of the base model: its content, or its name on the hub."""
    base = resolved.profile.base_model
    return stamp(ROOT / base) if is_local(base) else base


def require_start(resolved: Resolved, start: Start) -> None:
    """Refuses a second round that cannot start where it is said to, from headers and manifests alone.

    Raises:
        RecipeError: an adapter that is not trained (``require_trained``); another base than the parent's; of
            ``start: adapter`` another rank, scale or other target modules; of ``start: merged`` no room on the disk.
    """
    require_trained(start.parent, start.before)
    if resolved.profile.embedded:
        ensure_model(ROOT / resolved.profile.base_model)
    first: dict[str, Any] = (manifest.read(start.parent.train) or {})["inputs"]
    if first["base"] != base_stamp(resolved):
        raise RecipeError(
            f"{start.parent.name}, from which {resolved.blend.name} starts, was trained on another base model",
            where=shown(start.parent.train),
            way_out=f"base_model is {resolved.profile.base_model}; parent=same goes on from a first round with these "
            "settings",
        )
    if start.how == "adapter":
        _require_same_shape(resolved, start, first["axolotl"])
        return
    job = _merged_start(resolved, start)
    if not all(step.is_done() for step in merge_steps(job)):
        checked_plan(job)


def _require_same_shape(resolved: Resolved, start: Start, first: Mapping[str, Any]) -> None:
    """PEFT takes the shape from the adapter that it goes on from, whatever the YAML says."""
    ours = resolved.axolotl
    for key in sorted(key for key in ours.keys() | first.keys() if _SHAPING.match(key)):
        if ours.get(key) != first.get(key):
            raise RecipeError(
                f"{key} is {ours.get(key)}, but the parent's adapter was trained with {first.get(key)}",
                where=resolved.changed.get(key, "recipe.yaml.j2"),
                way_out="start: adapter keeps the shape of the first round, start: merged takes any",
            )
    if start.folder == start.parent.train:
        return
    for part in start.mixture.parts:
        refuse_more_than_factors(open_adapter(Path(part.folder)))
    if (rank := rank_of(start.mixture)) != ours["lora_r"]:
        raise RecipeError(
            f"{start.mixture} is one adapter of rank {rank}, lora_r is {ours['lora_r']}",
            where=resolved.blend.files[0].where("parent"),
            way_out="start: merged trains an adapter of any shape beside it",
        )


def _merged_start(resolved: Resolved, start: Start) -> MergeJob:
    return MergeJob.mixing(base_folder(resolved), {start.folder: start.mixture})


def ensure_start(resolved: Resolved, start: Start) -> None:
    """Writes the model or the adapter that training starts from, into the parent's folder."""
    with locked(start.parent.folder):
        if start.how == "merged":
            ensure_produced(_merged_start(resolved, start))
        elif start.folder != start.parent.train:
            ensure_one_adapter(start.mixture, start.folder)


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
    """What would fail after minutes or hours, asked before: disk, length, checkpoints."""
    config = model_config(resolved.profile.base_model)
    check_fits(resolved.axolotl, config)
    needed = training_bytes(resolved.axolotl, Architecture.of(config))
    require_free(resolved.run.folder, needed, "training (adapter and checkpoints)")
    require_same_split(resolved, step)


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
        self._scores: list[float] = []

    def on_event(self, event: Any) -> None:
        if event["kind"] == "begin":
            say(f"train: axolotl begins at step {event['step']} of {event['steps']}")
        if "loss" in event:
            self._loss = f"loss {event['loss']:.3f}"
        if "eval_loss" in event:
            self._held_out.append(event["eval_loss"])
        if SCORE in event:
            self._scores.append(event[SCORE])
        held_out = "  held-out " + " -> ".join(f"{loss:.3f}" for loss in self._held_out) if self._held_out else ""
        held_out += "  score " + " -> ".join(f"{score:.2f}" for score in self._scores) if self._scores else ""
        looking = "  (scoring held-out rows)" if event["kind"] == "evaluating" else ""
        if event["kind"] != "begin":
            self.meter.update(event["step"], event["steps"], self._loss + held_out + looking)
