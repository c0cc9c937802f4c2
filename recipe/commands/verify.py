"""``recipe verify``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from recipe.commands.options import FOLDER, examples
from spine import child_job
from spine.checkpoint import open_checkpoint
from spine.errors import RecipeError
from spine.paths import shown
from spine.progress import Meter


@click.command(
    "verify",
    epilog=examples(
        "recipe verify runs/cpu/v8/merged-0.5625",
        "recipe verify padded --against merged",
        "recipe verify padded --against merged --forward",
    ),
)
@click.argument("model", type=FOLDER)
@click.option(
    "--against", type=FOLDER, help="The model before padding: real weights must be the same bits, new ones 0."
)
@click.option("--forward", is_flag=True, help="With --against: compare both models' logits in fp32 too (loads both).")
def command(model: Path, against: Path | None, forward: bool) -> None:
    """Prove that MODEL is what was written, and that its padding changes nothing.

    Exit code 1 when something differs.
    """
    if forward and against is None:
        raise click.UsageError("--forward needs --against")
    open_checkpoint(model)  # headers, index and sizes
    asked = {"model": model.absolute(), "against": against and against.absolute(), "forward": forward}
    with Meter("reading", "MB") as meter:
        result = child_job.run(
            "train" if forward else "core", "postprocess.verify", asked,
            lambda what, done, total: meter.update(done, total, what), quiet=True,
        )  # fmt: skip
    if not _tell(model, result):
        sys.exit(1)


def _tell(model: Path, result: dict[str, Any]) -> bool:
    """One line for each proof; whether all hold."""
    good = True
    if "damaged" in result:
        good &= not result["damaged"]
        click.echo(f"checksums  {_verdict(result['damaged'], 'all as written')}")
    elif "padding" not in result:
        raise RecipeError(
            "has no checksums.json: nothing to compare it with", where=shown(model), way_out="--against FOLDER"
        )
    if found := result.get("padding"):
        good &= not found["wrong"]
        what = f"{found['tensors']:,} tensors, {found['padded']:,} of them wider: real values bit-identical, new ones 0"
        click.echo(f"padding    {_verdict(found['wrong'], what)}")
    if found := result.get("forward"):
        good &= found["bitwise"]
        verdict = "equal to the last bit" if found["bitwise"] else f"DIFFER by up to {found['largest']:g}"
        click.echo(f"logits     {verdict} (fp32, the MLPs' products added in the same order)")
    return good


def _verdict(wrong: list[str], right: str) -> str:
    return right if not wrong else f"{len(wrong)} DIFFER: " + "; ".join(wrong[:10])
