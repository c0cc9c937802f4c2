"""``recipe eval``."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from axolotl_configs.render import Resolved
from inference.answering.engines.settings import is_quantised
from inference.answering.job import Job
from inference.answering.questions import read_questions
from postprocess.merge.plan import Job as MergeJob
from recipe.commands.options import examples
from recipe.commands.table import contest_tables, read_scores, remarks, tasks_table, tracks_table
from recipe.steps.eval import (
    chosen_target,
    engine_options,
    held_out,
    make_job,
    run_in_serve,
    target_options,
    unpacked,
)
from recipe.steps.merge import ensure_produced
from spine.lock import locked
from spine.paths import shown
from spine.progress import clock
from spine.terminal import console, say

_FILE = click.Path(path_type=Path)


@click.command(
    "eval",
    epilog=examples(
        "recipe eval v8",
        "recipe eval v8 --alpha 1 --questions development.json",
        "recipe eval v8 --model base",
        "recipe eval v8 --model awq-0.56 --engine vllm --mode winners",
        "recipe eval v9b --alpha 0.75 --track 1 --questions development.json",
        "recipe eval v8 --questions development.json --contest",
        "recipe eval --model Qwen/Qwen2-7B-Instruct --questions development.json --limit 20",
        "recipe eval --model Qwen/Qwen2-7B-Instruct --questions mmlu/test --task nutrition",
        "RAY_ADDRESS=head:6379 recipe eval v8 --engine ray --tensor-parallel 4",
    ),
)
@target_options
@click.option(
    "--questions", type=_FILE, envvar="QUESTIONS", metavar="FILE",
    help="ShopBench's or EC-Guide's JSON, MMLU's CSV, or a folder of such.  "
    "[default: the run's held-out rows; env: QUESTIONS]",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), envvar="LIMIT", help="Questions of each task.  [env: LIMIT]")
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="This task only; more than once.")
@click.option(
    "--track", "tracks", multiple=True, type=click.IntRange(1, 4), help="Questions of this track only; more than once."
)
@click.option(
    "--contest", is_flag=True, help="As at the contest: 16 questions at a time, on the clock, against its limits."
)
@engine_options
def command(
    blend: str | None, profile: str | None, overrides: str, model: str | None, adapter: Path | None,
    alpha: float | None, questions: Path | None, limit: int | None, tasks: tuple[str, ...], engine: str | None,
    workers: int | None, tensor_parallel: int | None, mode: str | None, dtype: str, max_length: int | None,
    tracks: tuple[int, ...], contest: bool,
) -> None:  # fmt: skip
    """Answer questions with BLEND's model, score the answers, print one line per task and the table of tracks.

    Stopped or killed, the same command goes on after the last answer; finished, it shows the scores again. Always
    shown beside: what giving the same answer to every question of a task would score.
    """
    began = time.monotonic()
    if not blend and (model is None or questions is None):
        raise click.UsageError("name a BLEND, or give --model and --questions")
    resolved, target = chosen_target(blend, profile, overrides, model, adapter, alpha)
    file = questions or held_out(_of(resolved))
    count = len(
        read_questions(file, limit=limit, tasks=tasks, tracks=tracks)
    )  # faults are told before a model is loaded
    job = make_job(
        target, file, resolved,
        engine=engine, workers=workers, tensor_parallel=tensor_parallel, mode=mode, dtype=dtype,
        max_length=max_length, count=count, limit=limit, tasks=tasks, tracks=tracks, contest=contest, mergeable=True,
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
        with (
            unpacked(Path(job.model), job.gpus, folder / ".unpacked") as model,
            merged(replace(job, model=str(model))) as ready,
        ):
            run_in_serve("inference.answering.job", ready.to_json(), Path(ready.model))


@contextmanager
def merged(job: Job) -> Iterator[Job]:
    """The job; where vLLM answers on a CPU, its adapter is merged into the base for as long as it is asked.

    SmolLM2-135M's takes a second, and saves vLLM's LoRA, which takes many times as long for an answer there.

    Raises:
        RecipeError: what ``postprocess.merge.step`` refuses.
    """
    if job.engine != "vllm" or job.gpus != 0 or job.workers is not None or not job.adapter:
        yield job
    elif not job.alpha:
        yield replace(job, adapter=None)
    elif is_quantised(Path(job.model)):
        yield job
    else:
        folder = Path(job.folder) / ".merged"
        shutil.rmtree(folder, ignore_errors=True)  # a killed attempt's
        out = folder / f"merged-{job.alpha:g}"
        try:
            ensure_produced(MergeJob(job.model, [str(out)], [job.adapter], [[job.alpha]]))
            yield replace(job, model=str(out), adapter=None)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def show_scores(folder: Path) -> None:
    """The tables of one evaluation."""
    scores = read_scores(folder)
    console().print(tasks_table(scores))
    console().print(tracks_table([scores]))
    if "contest" in scores:
        console().print(*contest_tables(scores["contest"]))
    for line in remarks([scores]):
        click.echo(line)
    click.echo(f"scores    {shown(folder)}/scores.json  (recipe table lays several side by side)")
    click.echo(f"answers   {shown(folder)}/predictions.jsonl, worst.jsonl")


def _of(resolved: Resolved | None) -> Resolved:
    assert resolved is not None
    return resolved
