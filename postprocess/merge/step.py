"""A merge or padding as a step: refused before it begins, resumed by shard, whole at the end or not there."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from postprocess.merge.plan import STEP, MergeJob, MergePlan, make_plan, partial, step_of
from spine import child_job, manifest
from spine.atomic import require_free
from spine.child_job import OnProgress
from spine.errors import RecipeError
from spine.hardware import this_machine
from spine.manifest import Step
from spine.paths import shown


@dataclass(frozen=True)
class Produced:
    """``fresh``: the results that were written now; ``seconds`` and ``bytes`` of writing them."""

    plan: MergePlan
    fresh: tuple[Path, ...]
    seconds: float = 0.0
    bytes: int = 0
    device: str = ""


def checked_plan(job: MergeJob) -> MergePlan:
    """The plan, once everything that can be asked about it beforehand has been.

    Raises:
        RecipeError: what ``plan.make_plan`` refuses; an input that is not what its manifest says; an output folder
            that holds something else, or is an input; too little disk.
    """
    for folder in (job.base, *job.sources):
        if bad := manifest.damaged(Path(folder)):
            raise RecipeError(
                f"{', '.join(bad[:5])} changed since it was written: its checksum is not the manifest's",
                where=shown(Path(folder)),
                way_out="make it again, or restore the files",
            )
    made = make_plan(job)
    for out in map(Path, job.outs):
        _refuse_place(out, job)
    there = sum(path.stat().st_blocks * 512 for out in map(Path, job.outs) for path in partial(out).glob("*"))
    require_free(Path(job.outs[0]).parent, made.nbytes * len(job.outs) - there, "the result")
    return made


def _refuse_place(out: Path, job: MergeJob) -> None:
    inputs = [Path(folder).resolve() for folder in (job.base, *job.sources)]
    place = out.resolve()
    if any(place == folder or folder in place.parents or place in folder.parents for folder in inputs):
        raise RecipeError(
            "the result cannot be written into an input's folder, nor around it",
            where=shown(out),
            way_out="--out FOLDER",
        )
    manifest.refuse_foreign(out, STEP)


def produce(job: MergeJob, on_progress: OnProgress = lambda what, done, total: None) -> Produced:
    """Writes the results that are not there yet; the caller holds the lock.

    Raises:
        RecipeError: see ``checked_plan``; NaN in an input, a full disk, a child process that failed.
    """
    steps = merge_steps(job)
    missing = [number for number, step in enumerate(steps) if not step.is_done()]
    if not missing:
        return Produced(make_plan(job), ())
    device = job.device if job.device != "auto" else "cuda" if this_machine().gpu_names else "cpu"
    job = replace(job, outs=[job.outs[n] for n in missing], weights=[job.weights[n] for n in missing], device=device)
    made = checked_plan(job)
    first = partial(Path(job.outs[0]))
    first.parent.mkdir(parents=True, exist_ok=True)
    log = first.with_name(f"{first.name}.log")
    result = child_job.run(_environment(made), "postprocess.merge.write", job, on_progress, log=log)
    for number in missing:
        _finish(steps[number], made, result)
    log.unlink()
    return Produced(made, tuple(map(Path, job.outs)), result["seconds"], result["bytes"], result["device"])


def _environment(made: MergePlan) -> str:
    """Core's numpy does the sums; torch does where there is a GPU, and bitsandbytes what it stored in 4 bit."""
    operations = (operation for shard in made.shards for operation, _ in shard.operations)
    stored = any(operation.quantised or operation.round_trip for operation in operations)
    return "train" if stored or made.job.device != "cpu" else "core"


def merge_steps(job: MergeJob) -> list[Step]:
    """The step that writes each of the job's results."""
    return [step_of(job, number) for number in range(len(job.outs))]


def _finish(step: Step, made: MergePlan, result: dict[str, Any]) -> None:
    """Adds the manifest and gives the folder its name."""
    grown = partial(step.folder)
    shards = [shard.name for shard in made.shards]
    files = (path.relative_to(grown).as_posix() for path in grown.rglob("*") if path.is_file())
    small = sorted(name for name in files if name not in shards)
    facts = {"notes": made.notes, "device": result["device"], "seconds": result["seconds"]}
    step.finish([*shards, *small], written_in=grown, sealed=shards, **facts)
    old = step.folder.with_name(f".{step.folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)  # a killed attempt's
    if step.folder.exists():
        step.folder.rename(old)  # a name is whole or not there; a folder that is being removed is neither
    grown.rename(step.folder)
    shutil.rmtree(old, ignore_errors=True)
