"""Merging and padding as the steps of a run: where the base and the adapter are, what the results are called."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from postprocess.merge.plan import MergeJob, MergePlan, Padding
from postprocess.merge.step import Produced, checked_plan, produce
from recipe.steps.mixtures import trained_mixture, whole_checkpoints
from spine import manifest
from spine.errors import RecipeError
from spine.lock import locked
from spine.mixture import Mixture, Part
from spine.models import local_folder
from spine.one_adapter import one_adapter_step, write_one_adapter
from spine.paths import shown
from spine.progress import Meter, clock
from spine.runs import Form
from spine.terminal import console, say, table

if TYPE_CHECKING:
    from axolotl_configs.render import Resolved

_LARGEST = 2.0
_STEPS, _SHOWN = re.compile(r"-?\d{1,9}", re.ASCII), 40  # letters of what is none
N = TypeVar("N", int, float, str)


def parse_alphas(text: str, *, beyond_one: bool) -> list[float]:
    """``0.25,0.5`` as numbers.

    Raises:
        RecipeError: see ``parse_alpha``; a weight that is there twice.
    """
    where = f"ALPHA={text}"
    return _each_once([parse_alpha(part, where, beyond_one=beyond_one) for part in text.split(",")], "weight", where)


def _each_once(values: list[N], what: str, where: str) -> list[N]:
    """The values, no two of which give their results the same name."""
    names = [value if isinstance(value, str) else f"{value:g}" for value in values]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise RecipeError(f"the {what} {twice} is there twice", where=where)
    return values


def parse_alpha(text: str, where: str, *, beyond_one: bool) -> float:
    """One weight.

    Raises:
        RecipeError: no number, outside [0, 1] ([0, 2] if ``beyond_one``), or of more than six digits, which is what
            names of folders tell weights apart by.
    """
    most = _LARGEST if beyond_one else 1.0
    try:
        value = float(text)
    except ValueError:
        raise RecipeError(f"'{text}' is no number", where=where, way_out="0.5625, for instance") from None
    if not 0 <= value <= most:
        further = 1 < value <= _LARGEST
        raise RecipeError(
            f"the weight {value:g} is outside [0, {most:g}]",
            where=where,
            way_out="--beyond-one allows up to 2" if further else "0 is where training started, 1 all of it",
        )
    if float(f"{value:g}") != value:
        raise RecipeError(f"the weight {value} has more digits than a folder's name", where=where, way_out=f"{value:g}")
    return value


def parse_parts(given: Sequence[str], option: str, *, beyond_one: bool = False) -> Mixture:
    """``FOLDER=0.5`` and the like, each an adapter or a whole model with its share (1), as a mixture.

    Raises:
        RecipeError: see ``parse_alpha``; a folder that is there twice.
    """
    parts = []
    for text in given:
        # A run's own folder may hold a "=": runs/cpu/v8+lora_r=32/train.
        folder, _, share = text.rpartition("=") if "=" in text and not Path(text).exists() else (text, "", "1")
        place = Path(folder).absolute()
        weight = parse_alpha(share, f"{option} {text}", beyond_one=beyond_one)
        parts.append(Part(str(place), weight, shown(place)))
    _each_once([part.name for part in parts], "folder", option)
    return Mixture.sum_of(parts)


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


def swept_alphas(resolved: Resolved) -> list[float]:
    """The weights that a sweep tries unless it is told others: the profile's, and those of tracks.yaml. With 0, where
    the training started, a second round can lose to the first one.
    """
    return sorted({*resolved.profile.reproduce.weights, *default_alphas(resolved.blend.name)})


def parse_checkpoints(text: str, resolved: Resolved) -> list[int]:
    """``150,192`` as numbers of steps; ``-2,-1`` are the last two that the run's training has kept.

    Raises:
        RecipeError: one of them is no number, or is there twice.
    """
    where = f"CHECKPOINTS={text}"
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not _STEPS.fullmatch(part):
            way_out = "150,192, for instance, or -2,-1: the last two"
            raise RecipeError(f"'{part[:_SHOWN]}' is no number of steps", where=where, way_out=way_out)
    there = sorted(whole_checkpoints(resolved))
    numbers = list(map(int, parts))
    steps = [there[number] if -len(there) <= number < 0 else number for number in numbers]
    return _each_once(steps, "checkpoint", where)


def run_results(
    resolved: Resolved, alphas: Sequence[float], kind: Form, checkpoints: Sequence[int] = ()
) -> dict[Path, Mixture]:
    """The run's model at each weight, of its training's last state or of the average of ``checkpoints``, and where it
    lies.

    Raises:
        RecipeError: see ``trained_mixture``.
    """
    mixtures = (trained_mixture(resolved, alpha, checkpoints) for alpha in alphas)
    return dict(zip((resolved.run.mixed(kind, alpha, checkpoints) for alpha in alphas), mixtures, strict=True))


def run_job(resolved: Resolved, alphas: Sequence[float], padding: Padding | None) -> MergeJob:
    """The run's model at each weight.

    Raises:
        RecipeError: see ``trained_mixture``; the base is not on this disk.
    """
    results = run_results(resolved, alphas, "padded" if padding else "merged")
    return MergeJob.mixing(base_folder(resolved), results, padding)


def base_folder(resolved: Resolved) -> Path:
    """The base model's folder on this disk."""
    return local_folder(resolved.profile.base_model)


def profile_padding(resolved: Resolved) -> Padding:
    """As many columns as the profile's GPUs and groups ask for."""
    chosen = resolved.profile.quantize
    return Padding(tp=chosen.tensor_parallel, group=chosen.group)


@contextmanager
def held(out: Path, run_folder: Path | None) -> Iterator[None]:
    """The run's lock; without a run one beside the result ``out``, which goes with the work."""
    if run_folder:
        with locked(run_folder):
            yield
        return
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
    with held(Path(job.outs[0]), run_folder):
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


def ensure_one_adapter(mixture: Mixture, folder: Path) -> None:
    """Writes a mixture as one adapter, unless it is there."""
    step = one_adapter_step(mixture, folder)
    if step.is_done():
        say(f"{shown(folder)} is done and up to date, nothing to do")
        return
    manifest.refuse_foreign(folder, step.name)
    write_one_adapter(mixture, folder, step)


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
