"""``recipe report``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recipe.commands.options import examples, resolve_run, walk_options, walk_request
from spine.lock import locked
from spine.paths import shown
from spine.progress import clock
from spine.terminal import say

if TYPE_CHECKING:
    from recipe.report.subject import Subject


@click.command(
    "report",
    epilog=examples(
        "recipe report",
        "recipe report --fast",
        "recipe report -p 8xa100 --questions development.json",
        "recipe report v8",
        "recipe report v8 --set lora_r=32 --questions development.json",
    ),
)
@click.argument("blend", required=False)
@walk_options
def command(
    blend: str | None, profile: str | None, overrides: str, data: Path | None, decontaminate: tuple[Path, ...],
    questions: Path | None, fast: bool,
) -> None:  # fmt: skip
    """Write one page about what `recipe reproduce` has done so far; or about BLEND's run alone.

    The page is one file that needs no network. Beside it lie its pictures as SVG and PNG, its numbers as JSON, and the
    scores as a table for a README. Nothing is run or asked: what is not there yet is shown as not run. The options are
    those that `recipe reproduce` was given.
    """
    began = time.monotonic()
    if blend:
        subject = _of_run(blend, profile, overrides, questions, fast)
    else:
        from recipe.report.subject import of_recipe

        subject = of_recipe(walk_request(profile, overrides, data, decontaminate, questions, fast))
    with locked(subject.folder):
        _write(subject)
    click.echo(f"time      {clock(time.monotonic() - began)}")


def _of_run(blend: str, profile: str | None, overrides: str, questions: Path | None, fast: bool) -> Subject:
    from recipe.report.subject import of_run

    if fast:
        raise click.UsageError("--fast goes without a BLEND; -p cpu-fast names the profile")
    resolved = resolve_run(blend, profile, overrides)
    settings = ("--set", overrides) if overrides else ()
    return of_run(resolved, questions and questions.absolute(), ("-p", resolved.run.profile, *settings))


def _write(subject: Subject) -> None:
    from recipe.report.collect import collect, report_step
    from recipe.report.page import PAGE, write

    step = report_step(subject)
    if step.is_done():
        say("report: is up to date, nothing to do")
    else:
        facts = collect(subject)
        step.finish(write(facts, subject.folder))
        for line in (facts.headline, *facts.verdicts):
            click.echo(line)
        for note in facts.notes:
            click.echo(f"note      {note}")
    click.echo(f"report    {shown(subject.folder)}/{PAGE}")
