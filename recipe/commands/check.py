"""``recipe check``."""

from __future__ import annotations

import click

from recipe.commands.options import examples, resolve_run, run_options
from recipe.steps.train import require_accepted


@click.command("check", epilog=examples("recipe check v8", "recipe check v8 -p 8xa100 --set 'lora_r=128'"))
@run_options
def command(blend: str, profile: str | None, overrides: str) -> None:
    """Check BLEND's axolotl YAML: by our strict rules, by axolotl's own validation, and by DeepSpeed where it is used.

    DeepSpeed's file is filled in as it is once the model is loaded, so that what would fail then fails now.
    """
    click.echo(require_accepted(resolve_run(blend, profile, overrides)))
