"""``recipe list``."""

from __future__ import annotations

import click

from axolotl_configs.blend import parent_of, resolve_blend
from axolotl_configs.rounds import mixture_of, start_of
from axolotl_configs.schema import Parent, TrackChoice, load_profile, load_tracks, names
from axolotl_configs.select import choose
from dataset_builders.task import load_task, task_names
from recipe.commands.options import examples
from spine.errors import RecipeError
from spine.hardware import this_machine
from spine.mixture import Mixture
from spine.runs import Run
from spine.terminal import console, table


def _starts(parent: Parent | None) -> str:
    return f"{parent.blend} at {parent.alpha:g}, {parent.start}" if parent else "the base"


def _chosen(choice: TrackChoice | None) -> str:
    if choice is None:
        return "-"
    run = Run("", choice.blend)
    mixture = mixture_of(Mixture.of(run.train, name=run.name), start_of(parent_of(choice.blend), run), choice.alpha)
    return f"{choice.blend} at {choice.alpha:g}: {mixture}"


@click.command("list", epilog=examples("recipe list"))
def command() -> None:
    """List the blends, profiles and datasets there are, and the winners' choice per track."""
    try:
        chosen = "{} is {}".format(*choose(this_machine(), None))
    except RecipeError as error:
        chosen = str(error.what)  # the GPUs are too old for any
    faults = list[RecipeError]()  # of one file; the others are listed
    blends = table("blends", "blend", "datasets", "rows", "starts from", "why", right=("datasets", "rows"))
    for name in names("blends"):
        try:
            blend = resolve_blend(name, task_names())
        except RecipeError as error:
            faults.append(error)
            continue
        blends.add_row(name, str(len(blend.portions)), f"{blend.rows:,}", _starts(blend.parent), blend.why)
    profiles = table(f"profiles ({chosen})", "profile", "model", "GPUs, capability", "why")
    for name in names("profiles"):
        try:
            profile, _ = load_profile(name)
        except RecipeError as error:
            faults.append(error)
            continue
        needed = profile.hardware
        gpus = f"{needed.gpus} x {needed.gpu_memory_gib:g} GiB, {needed.capability}" if needed.gpus else "-"
        profiles.add_row(name, profile.base_model, gpus, profile.why)
    datasets = table("datasets", "dataset", "type", "source", "track", "what")
    for name in task_names():
        task = load_task(name)
        datasets.add_row(name, task.type.short, task.source, str(task.track or "-"), task.what)
    choices = table("blend and wise-ft weight per track, and the sum that comes out", "track", "round 1", "round 2")
    found = load_tracks()
    for track in dict.fromkeys([*found.round1, *found.round2]):
        choices.add_row(track, *(_chosen(choices.get(track)) for choices in (found.round1, found.round2)))
    for made in (blends, profiles, datasets, choices):
        console().print(made)
    if faults:
        raise RecipeError.all_of(faults)
