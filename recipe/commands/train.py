"""``recipe train``."""

from __future__ import annotations

import time
from pathlib import Path

import click

from recipe.commands.options import data_options, examples, resolve_run, run_options
from recipe.steps.data import DataFrom
from recipe.steps.train import ensure_trained
from spine.adapter import WEIGHTS
from spine.paths import shown
from spine.progress import clock


@click.command(
    "train",
    epilog=examples(
        "recipe train v8",
        "recipe train v8 -p 1x24gb --data /published/files",
        "recipe train v8 --set 'learning_rate=1e-4 lora_r=32 tracker=wandb'",
        "recipe train v8 -- --launcher torchrun -- --nnodes=2 --nproc_per_node=8 --rdzv_endpoint=A:29500 --rdzv_id=b",
    ),
)
@run_options
@data_options
@click.argument("axolotl_args", nargs=-1)
def command(
    blend: str,
    profile: str | None,
    overrides: str,
    data: Path | None,
    decontaminate: tuple[Path, ...],
    axolotl_args: tuple[str, ...],
) -> None:
    """Train BLEND with axolotl until an adapter lies in the run folder.

    Builds what is missing first. Stopped or killed, the same command goes on from the last checkpoint;
    finished, it says so and does nothing. What stands after -- goes to `axolotl train`.
    """
    began = time.monotonic()
    resolved = resolve_run(blend, profile, overrides, axolotl_args)
    try:
        trained = ensure_trained(resolved, DataFrom(data, decontaminate), axolotl_args)
    except KeyboardInterrupt:
        click.echo("stopped; the same command goes on from the last checkpoint", err=True)
        raise
    click.echo(f"adapter   {shown(trained.folder)}/{WEIGHTS}  ({trained.steps} steps)")
    click.echo(f"curve     {shown(trained.folder)}/loss.png, loss.csv")
    if trained.base_loss is not None and trained.final_loss is not None:
        start = "parent" if resolved.start else "base"
        click.echo(
            f"held-out  {trained.base_loss:.3f} ({start} model) -> {trained.final_loss:.3f} nats per answer token"
        )
    click.echo(f"time      {clock(time.monotonic() - began)}")
