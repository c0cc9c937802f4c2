"""``recipe sample-data``."""

from __future__ import annotations

from pathlib import Path

import click

from recipe.commands.options import examples
from recipe.steps.data import SCALE, SEED, write_sample
from spine.lock import locked
from spine.paths import SAMPLE, shown


@click.command(
    "sample-data",
    epilog=examples(
        "recipe sample-data",
        "recipe sample-data --noise --out data/noisy",
        "recipe sample-data --scale 100 --out /big/disk/shop",
    ),
)
@click.option(
    "--scale", default=SCALE, show_default=True, type=click.FloatRange(min=0.01), help="Size; 1 is thousands of rows."
)
@click.option("--seed", default=SEED, show_default=True, help="Another seed, another shop.")
@click.option(
    "--noise", is_flag=True, help="With the faults of real files: markup, typos, titles that tell the stars..."
)
@click.option("--out", default=SAMPLE, show_default="data/sample", type=click.Path(path_type=Path), help="Folder.")
def command(scale: float, seed: int, noise: bool, out: Path) -> None:
    """Write a coherent invented shop in the raw formats in which the seven sources are published."""
    with locked(out.absolute().parent, wait=True):
        write_sample(out.absolute(), scale=scale, seed=seed, noise=noise)
    click.echo(f"{shown(out)}  (make data-v8 DATA={shown(out)})")
