"""``recipe eval``."""

from __future__ import annotations

import time
from pathlib import Path

import click

from axolotl_configs.render import Resolved
from inference.job import Job
from inference.questions import read_questions
from recipe.cli.answering import engine_options, held_out, make_job, model_target, run_in_serve, run_target
from recipe.cli.common import console, examples, profile_option, resolve_run, say, set_option
from recipe.cli.prepare import ensure_model
from recipe.cli.table import read_scores, remarks, tasks_table, tracks_table
from recipe.environments import python
from recipe.lock import locked
from recipe.paths import ROOT, shown
from recipe.progress import clock

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)


@click.command(
    "eval",
    epilog=examples(
        "recipe eval v8",
        "recipe eval v8 --alpha 1 --questions development.json",
        "recipe eval v8 --model base",
        "recipe eval v8 --model awq-0.56 --engine vllm --mode winners",
        "recipe eval --model Qwen/Qwen2-7B-Instruct --questions development.json --limit 20",
    ),
)
@click.argument("blend", required=False)
@profile_option
@set_option
@click.option("--model", metavar="MODEL", help="Folder, hub name, folder of the run, or `base`, instead of BLEND's.")
@click.option("--adapter", type=_FOLDER, help="With --model: a LoRA adapter for it.")
@click.option("--alpha", type=click.FloatRange(0, 2), help="Wise-ft weight.  [default: the blend's in tracks.yaml]")
@click.option(
    "--questions", type=_FILE, envvar="QUESTIONS", metavar="FILE",
    help="ShopBench's or EC-Guide's JSON, MMLU's CSV.  [default: the run's held-out rows; env: QUESTIONS]",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), envvar="LIMIT", help="Questions of each task.  [env: LIMIT]")
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="This task only; more than once.")
@engine_options
def command(
    blend: str | None, profile: str | None, overrides: str, model: str | None, adapter: Path | None,
    alpha: float | None, questions: Path | None, limit: int | None, tasks: tuple[str, ...], engine: str | None,
    mode: str, dtype: str, max_length: int | None,
) -> None:  # fmt: skip
    """Answer questions with BLEND's model, score the answers, print one line per task and the table of tracks.

    Stopped or killed, the same command goes on after the last answer; finished, it shows the scores again. Always
    shown beside: what giving the same answer to every question of a task would score.
    """
    began = time.monotonic()
    resolved = resolve_run(blend, profile, overrides) if blend else None
    if resolved is None and (model is None or questions is None):
        raise click.UsageError("name a BLEND, or give --model and --questions")
    python("serve")  # says how to install it, before anything else is tried
    if resolved and resolved.profile.embedded:
        ensure_model(ROOT / resolved.profile.base_model)
    target = model_target(model, adapter, alpha, resolved) if model else run_target(_of(resolved), alpha)
    file = questions or held_out(_of(resolved))
    count = len(read_questions(file, limit=limit, tasks=tasks))  # faults are told before a model is loaded
    job = make_job(
        target, file, resolved.run.folder if resolved else None,
        engine=engine, mode=mode, dtype=dtype, max_length=max_length, count=count, limit=limit,
        tasks=tasks,
    )  # fmt: skip
    ensure_evaluated(job)
    show_scores(Path(job.folder))
    click.echo(f"time      {clock(time.monotonic() - began)}")


def ensure_evaluated(job: Job) -> None:
    """Runs the evaluation unless it is done already."""
    folder = Path(job.folder)
    with locked(folder):
        if job.step.is_done():
            say(f"eval: {shown(folder)} is done and up to date")
            return
        run_in_serve("inference.job", job.to_json(), Path(job.model))


def show_scores(folder: Path) -> None:
    """The tables of one evaluation."""
    scores = read_scores(folder)
    console().print(tasks_table(scores))
    console().print(tracks_table([scores]))
    for line in remarks([scores]):
        click.echo(line)
    click.echo(f"scores    {shown(folder)}/scores.json  (recipe table lays several side by side)")
    click.echo(f"answers   {shown(folder)}/predictions.jsonl, worst.jsonl")


def _of(resolved: Resolved | None) -> Resolved:
    assert resolved is not None
    return resolved
