"""What folders of results are called: after the model, its questions, and how they were asked."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from axolotl_configs.schema import Answer
from spine.paths import RUNS

SWEEP, BEST = "sweep", "sweep.json"  # a sweep's folder, and in it the file that says which weight is best
_USUAL_MODE = Answer().mode


def adapter_name(alpha: float) -> str:
    """What the results of a run's adapter are called, at a wise-ft weight."""
    return f"adapter-{alpha:g}"


def model_name(text: str) -> str:
    """``/models/a b`` is ``a-b``, ``Qwen/Qwen2-7B`` stays apart from another's ``Qwen2-7B``."""
    path = Path(text)
    short = path.name if path.is_absolute() or text.startswith((".", "models" + os.sep)) else text
    return re.sub(r"[^\w.=,-]+", "-", short).strip("-") or "model"


def results_name(target: str, questions: Path, run_folder: Path | None) -> str:
    """The folder of a target's results; the run's own held-out rows need no mention in it."""
    own = run_folder is not None and questions.parent.parent == run_folder
    return target if own else f"{target}@{questions.stem}"


def results_folder(
    run_folder: Path | None, target: str, questions: Path, *, mode: str = _USUAL_MODE, limit: int | None = None,
    tasks: Sequence[str] = (), tracks: Sequence[int] = (), contest: bool = False,
) -> Path:  # fmt: skip
    """Where an evaluation lies: in the run's folder, or in that of all runs."""
    told = [mode] * (mode != _USUAL_MODE) + [f"limit={limit}"] * (limit is not None)
    told += [task.replace(os.sep, "-") for task in tasks]
    told += [f"track{number}" for number in tracks] + ["contest"] * contest
    return (run_folder or RUNS) / "eval" / ",".join([results_name(target, questions, run_folder), *told])
