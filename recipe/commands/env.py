"""``recipe env``."""

from __future__ import annotations

import click

from axolotl_configs.costs.known_figures import environments
from axolotl_configs.select import require_driver
from recipe.commands.options import examples
from spine.atomic import require_free
from spine.hardware import this_machine
from spine.paths import VENVS, shown

NAMES = ("train", "quantize", "autoawq", "serve")


@click.command("env", epilog=examples("recipe env train", "recipe env serve"))
@click.argument("name", type=click.Choice(NAMES))
def command(name: str) -> None:
    """Tell what the environment NAME takes, and whether this machine can have it.

    `make env-NAME` asks this before it fetches anything. Exit code 1: the NVIDIA driver is too old for the pinned
    torch, or the disk is too full.
    """
    machine = this_machine()
    require_driver(machine)
    fetched, there = environments().sizes(gpu=bool(machine.gpus))[name]
    require_free(VENVS, there * 1e9, f"the {name} environment", "put it elsewhere: make VENVS=/big/disk")
    click.echo(f"{name}: {fetched:.1f} GB to fetch, {there:.1f} GB in {shown(VENVS / name)}; for {machine}")
