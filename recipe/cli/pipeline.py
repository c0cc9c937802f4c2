"""Training as a step: everything it needs ensured and asked about first; skipped when it is done.

The only place that knows both how a run is configured and how its data are built.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from axolotl_configs import launch
from axolotl_configs.architecture import Architecture, model_config
from axolotl_configs.estimate import check_fits, training_bytes
from axolotl_configs.render import Resolved
from axolotl_configs.select import require_gpus
from recipe import manifest
from recipe.adapter import CONFIG
from recipe.atomic import require_free
from recipe.checkpoint import read_json
from recipe.cli.common import say
from recipe.cli.prepare import DataFrom, ensure_data
from recipe.environments import python
from recipe.errors import RecipeError
from recipe.hardware import this_machine
from recipe.lock import locked
from recipe.manifest import Step
from recipe.models import is_local
from recipe.paths import ROOT, shown
from recipe.progress import Meter
from recipe.runs import Run


def ensure_trained(resolved: Resolved, data: DataFrom, launch_args: Sequence[str]) -> launch.Trained:
    """The whole of ``recipe train``: model, data, preflight, axolotl; skipped when it is done already."""
    require_gpus(this_machine(), resolved.run.profile, resolved.profile.hardware)
    with locked(resolved.run.folder) as lock:
        folder = ensure_data(resolved, data)
        step = Step(resolved.run.train, "train", _train_inputs(resolved, folder))
        if step.is_done():
            say(f"train: {shown(step.folder)} is done and up to date, nothing to do")
            return launch.read_result(step.folder)
        python("train")  # says how to install it, before anything else is tried
        _preflight(resolved)
        progress = TrainingProgress()
        with progress.meter:
            gpus, offline = resolved.profile.hardware.gpus, is_local(resolved.profile.base_model)
            job = launch.Job(resolved.yaml, gpus, launch_args, offline)
            return launch.train(step, job, progress.on_event, lock)


def _train_inputs(resolved: Resolved, data: Path) -> dict[str, Any]:
    known = manifest.read(data)
    assert known is not None
    base = ROOT / resolved.profile.base_model
    base_manifest = manifest.read(base)
    parent = resolved.parent
    parent_manifest = manifest.read(parent.train) if parent else None
    if parent and parent_manifest is None:
        raise RecipeError(
            f"{resolved.blend.name} is a second round: it trains the adapter of {parent.blend} on, which is not there",
            where=shown(parent.train),
            way_out=" ".join([f"make train-{parent.blend}", *_set(parent)]),
        )
    return {
        "axolotl": resolved.axolotl,
        "data": {name: known["outputs"][name]["sha256"] for name in ("train.parquet", "val.parquet")},
        "base": base_manifest["outputs"] if base_manifest else resolved.profile.base_model,
        "parent": parent_manifest["outputs"] if parent_manifest else None,
        "environment": manifest.file_digest(ROOT / "requirements" / "train.txt"),
    }


def _set(run: Run) -> list[str]:
    """As it is typed, if there is anything to type."""
    return [f"SET={shlex.quote(' '.join(f'{key}={value}' for key, value in run.overrides))}"] if run.overrides else []


def _preflight(resolved: Resolved) -> None:
    """What would fail after minutes or hours, asked before: the disk, the model's length, the parent's shape."""
    config = model_config(resolved.profile.base_model)
    check_fits(resolved.axolotl, config)
    needed = training_bytes(resolved.axolotl, Architecture.of(config))
    require_free(resolved.run.folder, needed, "training (adapter and checkpoints)")
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
