"""``recipe check``."""

from __future__ import annotations

import subprocess

import click

from recipe.cli.common import examples, resolve_run, run_options
from recipe.environments import python, variables
from recipe.errors import RecipeError
from recipe.paths import ROOT


@click.command("check", epilog=examples("recipe check v8", "recipe check v8 -p 8xa100 --set 'lora_r=128'"))
@run_options
def command(blend: str, profile: str | None, overrides: str) -> None:
    """Check BLEND's axolotl YAML twice: by our strict rules, then by axolotl's own validation."""
    resolved = resolve_run(blend, profile, overrides)
    done = subprocess.run(
        [str(python("train")), "-m", "axolotl_configs.validate"], input=resolved.yaml,
        cwd=ROOT, env=variables("train", offline=True), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RecipeError(f"axolotl refuses these settings:\n{done.stdout.strip() or done.stderr[-3000:]}")
    click.echo(done.stdout.strip())
