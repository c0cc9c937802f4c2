"""``recipe list``."""

from __future__ import annotations

import click

from axolotl_configs.blend import resolve_blend
from axolotl_configs.schema import load_profile, load_tracks, names
from axolotl_configs.select import choose
from dataset_builders.task import load_task, task_names
from recipe.commands.options import examples
from spine.errors import RecipeError
from spine.hardware import this_machine
from spine.terminal import console, table


@click.command("list", epilog=examples("recipe list"))
def command() -> None:
    """List the blends, profiles and datasets there are, and the winners' choice per track."""
    try:
        chosen = "{} is {}".format(*choose(this_machine(), None))
    except RecipeError as error:
        chosen = str(error.what)  # the GPUs are too old for any
    blends = table("blends", "blend", "datasets", "rows", "starts from", "why", right=("datasets", "rows"))
    for name in names("blends"):
        blend = resolve_blend(name, task_names())
        blends.add_row(name, str(len(blend.portions)), f"{blend.rows:,}", blend.parent or "the base", blend.why)
    profiles = table(f"profiles ({chosen})", "profile", "model", "GPUs, capability", "why")
    for name in names("profiles"):
        profile, _ = load_profile(name)
        needed = profile.hardware
        gpus = f"{needed.gpus} x {needed.gpu_memory_gib:g} GiB, {needed.capability}" if needed.gpus else "-"
        profiles.add_row(name, profile.base_model, gpus, profile.why)
    datasets = table("datasets", "dataset", "type", "source", "track", "what")
    for name in task_names():
        task = load_task(name)
        datasets.add_row(name, task.type.short, task.source, str(task.track or "-"), task.what)
    choices = table("blend and wise-ft weight per track", "track", "round 1", "round 2")
    found = load_tracks()
    for track, first in found.round1.items():
        second = found.round2[track]
        choices.add_row(track, f"{first.blend} at {first.alpha}", f"{second.blend} at {second.alpha}")
    for made in (blends, profiles, datasets, choices):
        console().print(made)
