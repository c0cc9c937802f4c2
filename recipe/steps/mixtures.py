"""Mixtures of adapters that lie on this disk: proven to be what a run's weight means, or refused."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from axolotl_configs import launch
from axolotl_configs.render import Resolved
from axolotl_configs.rounds import Start
from spine import manifest
from spine.errors import RecipeError
from spine.mixture import Mixture, Part
from spine.paths import shown
from spine.runs import Run


def trained_mixture(resolved: Resolved, alpha: float, checkpoints: Sequence[int] = ()) -> Mixture:
    """The run's model at a wise-ft weight; of its training's last state, or of the average of ``checkpoints``.

    Raises:
        RecipeError: an adapter of it is not trained, or is not the one that the next round started from; there is no
            such checkpoint.
    """
    if not checkpoints:
        require_trained(resolved.run, resolved.start)
        return resolved.mixture(alpha)
    begun = launch.started_with(resolved.run.train)
    _require_start(resolved.run, resolved.start, begun)
    averaged = (Part(str(one), 1 / len(checkpoints), one.name) for one in _folders(resolved, checkpoints))
    return resolved.mixture(alpha, Mixture.sum_of(averaged))


def require_trained(run: Run, start: Start | None) -> None:
    """
    Raises:
        RecipeError: the run, or one that it goes back to, is not trained, or started from another model than ``start``.
    """
    known = manifest.read(run.train)
    if known is None:
        raise RecipeError("the adapter is not trained yet", where=shown(run.train), way_out=_training(run))
    _require_start(run, start, known["inputs"])


def _require_start(run: Run, start: Start | None, inputs: Mapping[str, Any]) -> None:
    if start:
        require_trained(start.parent, start.before)
    if inputs.get("start") != (start.as_json() if start else None):
        told = f"{start.mixture} ({start.how}), as that is now" if start else "the base"
        raise RecipeError(
            f"the training of {run.name} did not start from {told}",
            where=shown(run.train),
            way_out=f"{_training(run)} does",
        )


def _training(run: Run) -> str:
    """As it is typed."""
    settings = " ".join(f"{key}={value}" for key, value in run.overrides)
    return f"make train-{run.blend}" + (f" SET={shlex.quote(settings)}" if settings else "")


def whole_checkpoints(resolved: Resolved) -> dict[int, Path]:
    """Those that the run's training has kept, by their steps."""
    kept = resolved.run.train.glob("checkpoint-*")
    return {int(path.name.rpartition("-")[2]): path for path in kept if launch.is_whole(path)}


def _folders(resolved: Resolved, checkpoints: Sequence[int]) -> list[Path]:
    there = whole_checkpoints(resolved)
    if missing := [str(number) for number in checkpoints if number not in there]:
        known = ", ".join(map(str, sorted(there))) or "none"
        raise RecipeError(
            f"no whole checkpoint {', '.join(missing)}; there are: {known}",
            where=shown(resolved.run.train),
            way_out='SET="save_steps=... save_total_limit=..." says which a training keeps',
        )
    return [there[number] for number in checkpoints]
