"""Merging and padding as the steps of a run: where the base and the adapter are, what the results are called."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from axolotl_configs.launch import is_whole
from postprocess.merge.plan import MergeJob, MergePlan, Padding
from postprocess.merge.step import Produced, checked_plan, produce
from spine import manifest
from spine.errors import RecipeError
from spine.lock import locked
from spine.models import local_folder
from spine.paths import shown
from spine.progress import Meter, clock
from spine.terminal import console, say, table

if TYPE_CHECKING:
    from axolotl_configs.render import Resolved

_LARGEST = 2.0
N = TypeVar("N", int, float)


def parse_alphas(text: str, *, beyond_one: bool) -> list[float]:
    """``0.25,0.5`` as numbers.

    Raises:
        RecipeError: see ``parse_alpha``; a weight that is there twice.
    """
    where = f"ALPHA={text}"
    return _each_once([parse_alpha(part, where, beyond_one=beyond_one) for part in text.split(",")], "weight", where)


def _each_once(values: list[N], what: str, where: str) -> list[N]:
    """The values, no two of which give their results the same name."""
    names = [f"{value:g}" for value in values]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise RecipeError(f"the {what} {twice} is there twice", where=where)
    return values


def parse_alpha(text: str, where: str, *, beyond_one: bool) -> float:
    """One weight.

    Raises:
        RecipeError: no number, or outside [0, 1] ([0, 2] if ``beyond_one``).
    """
    most = _LARGEST if beyond_one else 1.0
    try:
        value = float(text)
    except ValueError:
        raise RecipeError(f"'{text}' is no number", where=where, way_out="0.56, for instance") from None
    if not 0 <= value <= most:
        further = 1 < value <= _LARGEST
        raise RecipeError(
            f"the weight {value:g} is outside [0, {most:g}]",
            where=where,
            way_out="--beyond-one allows up to 2" if further else "0 is the base, 1 the whole adapter",
        )
    return value


def alphas_of(blend: str, text: str | None, *, beyond_one: bool = False) -> list[float]:
    """The weights asked for, else those that tracks.yaml has for the blend."""
    return parse_alphas(text, beyond_one=beyond_one) if text else default_alphas(blend)


def default_alphas(blend: str) -> list[float]:
    """The weights that tracks.yaml has for a blend; 1 where it has none."""
    from axolotl_configs.schema import load_tracks  # see `common.resolve_run`

    tracks = load_tracks()
    found = {
        choice.alpha for rounds in (tracks.round1, tracks.round2) for choice in rounds.values() if choice.blend == blend
    }
    return sorted(found) or [1.0]


def parse_checkpoints(text: str) -> list[int]:
    """``150,192`` as numbers of steps.

    Raises:
        RecipeError: one of them is no number, or is there twice.
    """
    where = f"CHECKPOINTS={text}"
    for part in text.split(","):
        if not part.strip().isdecimal():
            raise RecipeError(f"'{part}' is no number of steps", where=where, way_out="150,192, for instance")
    return _each_once(list(map(int, text.split(","))), "checkpoint", where)


def run_job(
    resolved: Resolved, alphas: Sequence[float], padding: Padding | None, *, round_trip: bool = False,
    checkpoints: Sequence[int] = (),
) -> MergeJob:  # fmt: skip
    """The run's adapter, or the average of ``checkpoints``, into its base, once for each weight.

    Raises:
        RecipeError: the adapter is not trained, or there is no such checkpoint; the base is not on this disk.
    """
    sources = _checkpoints(resolved, checkpoints) if checkpoints else [_trained(resolved)]
    outs = [str(resolved.run.merged(alpha, padded=padding is not None, checkpoints=checkpoints)) for alpha in alphas]
    weights = [[alpha / len(sources)] * len(sources) for alpha in alphas]
    return MergeJob(str(base_folder(resolved)), outs, list(map(str, sources)), weights, padding, round_trip)


def _trained(resolved: Resolved) -> Path:
    adapter = resolved.run.train
    if manifest.read(adapter) is None:
        raise RecipeError(
            "the adapter is not trained yet", where=shown(adapter), way_out=f"make train-{resolved.blend.name}"
        )
    return adapter


def _checkpoints(resolved: Resolved, wanted: Sequence[int]) -> list[Path]:
    folder = resolved.run.train
    there = {int(path.name.rpartition("-")[2]): path for path in folder.glob("checkpoint-*") if is_whole(path)}
    if missing := [str(number) for number in wanted if number not in there]:
        known = ", ".join(map(str, sorted(there))) or "none"
        raise RecipeError(
            f"no whole checkpoint {', '.join(missing)}; there are: {known}",
            where=shown(folder),
            way_out='SET="save_steps=... save_total_limit=..." says which a training keeps',
        )
    return [there[number] for number in wanted]


def base_folder(resolved: Resolved) -> Path:
    """The base model's folder on this disk."""
    return local_folder(resolved.profile.base_model)


def profile_padding(resolved: Resolved) -> Padding:
    """As many columns as the profile's GPUs and groups ask for."""
    chosen = resolved.profile.quantize
    return Padding(tp=chosen.tensor_parallel, group=chosen.group)


@contextmanager
def held(job: MergeJob, run_folder: Path | None) -> Iterator[None]:
    """The run's lock; without a run one beside the result, which goes with the work."""
    if run_folder:
        with locked(run_folder):
            yield
        return
    out = Path(job.outs[0])
    place = out.with_name(f".{out.name}.lock")
    with locked(place):
        try:
            yield
        finally:
            shutil.rmtree(place, ignore_errors=True)


def carry_out(job: MergeJob, run_folder: Path | None, *, dry_run: bool, began: float) -> None:
    """The end of `merge` and `pad`: shows the plan, or writes what is not there yet, and says where and how fast."""
    if dry_run:
        show_plan(checked_plan(job))
        return
    with held(job, run_folder):
        made = ensure_produced(job)
    for out in job.outs:
        click.echo(f"model     {shown(Path(out))}  ({made.plan.nbytes / 1e9:.2f} GB)")
    if made.fresh:
        rate = made.bytes / 1e9 / max(made.seconds, 1e-9)
        click.echo(f"written   {made.bytes / 1e9:.2f} GB at {rate:.2f} GB/s, products on {made.device}")
    click.echo(f"time      {clock(time.monotonic() - began)}")


def ensure_produced(job: MergeJob) -> Produced:
    """Writes what is not there yet, with progress; says in a line what was done or not."""
    with Meter("writing", "MB") as meter:

        def progress(what: str, done: int, total: int) -> None:
            meter.update(done // 10**6, total // 10**6, what)

        made = produce(job, progress)
    for folder in map(Path, job.outs):
        if folder not in made.fresh:
            say(f"{shown(folder)} is done and up to date, nothing to do")
    for note in made.plan.notes:
        say(f"note: {note}")
    return made


def show_plan(plan: MergePlan) -> None:
    """What would be done, and the disk it needs."""
    listed = table(
        f"{len(plan.shards)} files of {plan.nbytes / 1e9:.2f} GB", "operation", "tensors", "GB", right=("tensors", "GB")
    )
    for kind, (count, size) in plan.kinds().items():
        listed.add_row(kind, f"{count:,}", f"{size / 1e9:.3f}")
    console().print(listed)
    for number, out in enumerate(plan.job.outs):
        weights = ", ".join(
            f"{weight:g} x {shown(Path(source))}"
            for weight, source in zip(plan.job.weights[number], plan.job.sources, strict=True)
        )
        click.echo(f"result    {shown(Path(out))}  {f'({weights})' if weights else ''}")
    for note in plan.notes:
        click.echo(f"note      {note}")
    click.echo(f"disk      {len(plan.job.outs) * plan.nbytes / 1e9:.2f} GB, there is room")
