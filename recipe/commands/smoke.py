"""``recipe smoke``."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import click

from axolotl_configs.select import require_gpus
from recipe.commands.options import examples, profile_option, resolve_run, set_option
from recipe.smoke import page
from recipe.smoke.child import Commands
from recipe.smoke.page import NUMBERS, PAGE, Result
from recipe.smoke.steps import BLEND, NAMES, Steps, settings
from spine.errors import RecipeError
from spine.hardware import this_machine
from spine.lock import locked
from spine.paths import shown
from spine.progress import Meter, clock
from spine.runs import Run
from spine.terminal import console, say, table

_STEP = click.Choice(NAMES)


@click.command(
    "smoke",
    epilog=examples(
        "recipe smoke",
        "recipe smoke -p 8xa100",
        "recipe smoke -p 1x24gb --set 'base_model=/models/Qwen2-7B-Instruct'",
        "recipe smoke --only awq --only answers",
        "recipe smoke --skip real",
    ),
)
@profile_option
@set_option
@click.option("--only", type=_STEP, multiple=True, help="This step, on what an earlier smoke has left; more than once.")
@click.option("--skip", type=_STEP, multiple=True, help="Not this step; more than once.")
def command(profile: str | None, overrides: str, only: tuple[str, ...], skip: tuple[str, ...]) -> None:
    """The first hour on a machine in minutes: a little of every step, by the commands that you would type.

    machine: disk, links between GPUs, versions. plan: what the run should take. pico: three steps of a tiny model
    through the profile's launcher, DeepSpeed file, kernels and precision. real: two of the real model, every row of
    full length. merge, awq, answers: of its first two layers, in their real width. A step that fails does not stop the
    others. Exit code 1: one of them did. Every smoke begins anew; what it writes is one page, smoke.md.
    """
    began = time.monotonic()
    resolved = resolve_run("v8", profile, settings(overrides, 2, 100), ())
    name = resolved.run.profile
    require_gpus(this_machine(), name, resolved.profile.hardware)
    from axolotl_configs.render import parse_set

    folder = Run.of(name, BLEND, parse_set(overrides)).folder
    partly = bool(only or skip)
    wanted = [step for step in NAMES if (not only or step in only) and step not in skip]
    facts = {"profile": name, "model": resolved.profile.base_model, "settings": overrides or "as they are"}
    with locked(folder):
        work = folder / "work"
        places = {"RECIPE_RUNS": str(work / "runs"), "RECIPE_CONFIGS": str(work / "configs"), "COLUMNS": "200"}
        steps = Steps(resolved, overrides, folder, Commands(folder / "logs", places))
        steps.begin(anew=not partly)
        results = page.read_results(folder) if partly else {}
        for number, step in enumerate(wanted):
            # One for each: they take so unlike that a common rate would mean nothing.
            with Meter("smoke", "step") as meter:
                meter.update(number, len(wanted), step)
                steps.commands.note = meter.note
                results[step] = _tried(steps, step)
            results = {name: results[name] for name in NAMES if name in results}
            page.write(folder, facts, results, [name for name in NAMES if name not in results])
            say(f"{step}: {results[step].outcome}, {results[step].seconds:.0f} s: {results[step].told}")
    _show(results, folder, began)
    if not all(result.ok for result in results.values()):
        raise click.exceptions.Exit(1)


def _tried(steps: Steps, step: str) -> Result:
    """A step, and what came of it."""
    began, commands = time.monotonic(), steps.commands
    commands.typed = []
    try:
        result = steps.all()[step]()
    except RecipeError as error:
        result = Result(step, message=str(error))
    except Exception as error:  # whatever it is: the next steps are tried, and the page is written
        result = Result(step, message=f"not foreseen: {error!r}")
    spent, log = time.monotonic() - began, shown(commands.log(step))
    return replace(result, seconds=spent, log=log, commands=commands.typed)


def _show(results: dict[str, Result], folder: Path, began: float) -> None:
    shown_table = table("", "step", "result", "seconds", "figure", right=("seconds",))
    for result in results.values():
        style = None if result.ok else "red"
        shown_table.add_row(result.step, result.outcome, f"{result.seconds:.0f}", result.told, style=style)
    console().print(shown_table)
    for result in results.values():
        if not result.ok:
            click.secho(f"{result.step} failed", fg="red", bold=True)
            click.echo(f"  {result.message}\n  log: {result.log}")
    click.echo(f"page      {shown(folder / PAGE)}, {NUMBERS}")
    click.echo(f"time      {clock(time.monotonic() - began)}")
