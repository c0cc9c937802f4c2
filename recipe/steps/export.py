"""The export of a run to 4 bit: merged first where that is needed, and padded before or behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from axolotl_configs.render import Resolved
from postprocess.awq import export
from postprocess.awq.export import ExportJob
from postprocess.merge.plan import MergeJob
from postprocess.merge.step import merge_steps
from recipe.steps.data import built_rows
from recipe.steps.merge import profile_padding, run_job
from spine.manifest import Step

LAST, FIRST = "awq-then-pad", "pad-then-awq"


def texts_of(resolved: Resolved) -> dict[str, Path]:
    """The files that a run's texts are chosen from.

    Raises:
        RecipeError: its rows are not there.
    """
    built_rows(resolved)
    data = resolved.run.data
    return {"validation": data / "val.parquet", "training": data / "train.parquet"}


def export_settings(resolved: Resolved, texts: Mapping[str, Path]) -> ExportJob:
    """As the profile says; ``model`` and ``out`` are the run's folder."""
    chosen, folder = resolved.profile.quantize, resolved.run.folder
    return ExportJob(folder, folder, chosen.backend, "awq", chosen.group, texts)


def export_jobs(
    resolved: Resolved, alpha: float, wanted: ExportJob, order: str = LAST
) -> tuple[MergeJob, ExportJob, MergeJob | None]:
    """What is merged, quantised, and widened for the profile's GPUs behind that. A folder's name tells the order.

    Raises:
        RecipeError: the adapter is not trained, or the base is not on this disk.
    """
    padding, folder = replace(profile_padding(resolved), group=wanted.group), resolved.run.folder
    merged = run_job(resolved, [alpha], padding if order == FIRST else None)
    out = folder / (f"padded-awq-{alpha:g}" if order == FIRST else f"awq-{alpha:g}")
    widened = MergeJob(str(out), [str(folder / f"awq-padded-{alpha:g}")], padding=padding)
    behind = order == LAST and padding.tp > 1
    return merged, replace(wanted, model=Path(merged.outs[0]), out=out), widened if behind else None


def export_steps(resolved: Resolved, alpha: float) -> list[Step]:
    """What `recipe awq` does of a run's merged model unless it is told more.

    Raises:
        RecipeError: as ``export_jobs`` and ``texts_of``.
    """
    _, job, widened = export_jobs(resolved, alpha, export_settings(resolved, texts_of(resolved)))
    return [export.step(job), *(merge_steps(widened) if widened else [])]
