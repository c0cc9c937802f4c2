"""``recipe check``."""

from __future__ import annotations

import subprocess

import click

from axolotl_configs.render import Resolved
from recipe.commands.options import examples, resolve_run, run_options
from spine.environments import python, variables
from spine.errors import RecipeError
from spine.paths import ROOT


@click.command("check", epilog=examples("recipe check v8", "recipe check v8 -p 8xa100 --set 'lora_r=128'"))
@run_options
def command(blend: str, profile: str | None, overrides: str) -> None:
    """Check BLEND's axolotl YAML: by our strict rules, by axolotl's own validation, and by DeepSpeed where it is used.

    DeepSpeed's file is filled in as it is once the model is loaded, so that what would fail then fails now.
    """
    click.echo(require_accepted(resolve_run(blend, profile, overrides)))


def require_accepted(resolved: Resolved) -> str:
    """Asks axolotl and DeepSpeed, in the train environment; half a minute. Returns their word for it.

    Raises:
        RecipeError: one of them refuses the settings, in its own words.
    """
    done = subprocess.run(
        [str(python("train")), "-m", "axolotl_configs.validate", str(resolved.processes)], input=resolved.yaml,
        cwd=ROOT, env=variables("train", offline=True), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        by = "axolotl or DeepSpeed" if resolved.axolotl.get("deepspeed") else "axolotl"
        raise RecipeError(f"{by} refuses these settings:\n{done.stdout.strip() or done.stderr[-3000:]}")
    return done.stdout.strip()
