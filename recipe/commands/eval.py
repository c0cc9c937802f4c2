"""``recipe eval``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from axolotl_configs.render import Resolved
from dataset_builders.blend.seen import trained_on
from inference.answering.questions import read_questions
from inference.scoring.tables import contest_tables, notes, read_scores, tasks_table, tracks_table
from recipe.commands.asking import chosen_target, engine_options, questions_options, target_options
from recipe.commands.options import examples
from recipe.steps.eval import How, ensure_evaluated, evaluation_of, held_out
from spine.paths import shown
from spine.progress import clock
from spine.terminal import console, say


@click.command(
    "eval",
    epilog=examples(
        "recipe eval v8",
        "recipe eval v8 --alpha 1 --questions development.json",
        "recipe eval v8 --model base",
        "recipe eval v8 --model awq-0.5625 --engine vllm --mode winners",
        "recipe eval v9b --alpha 0.75 --track 1 --questions development.json",
        "recipe eval v8 --questions development.json --contest",
        "recipe eval --model Qwen/Qwen2-7B-Instruct --questions development.json --limit 20",
        "recipe eval --model Qwen/Qwen2-7B-Instruct --questions mmlu/test --task nutrition",
        "RAY_ADDRESS=head:6379 recipe eval v8 --engine ray --tensor-parallel 4",
    ),
)
@target_options
@questions_options
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="This task only; more than once.")
@click.option(
    "--track", "tracks", multiple=True, type=click.IntRange(1, 4), help="Questions of this track only; more than once."
)
@click.option(
    "--contest", is_flag=True, help="As at the contest: 16 questions at a time, on the clock, against its limits."
)
@engine_options
def command(
    blend: str | None, profile: str | None, overrides: str, model: str | None, adapters: tuple[str, ...],
    alpha: float | None, questions: Path | None, limit: int | None, tasks: tuple[str, ...], tracks: tuple[int, ...],
    contest: bool, **how: Any,
) -> None:  # fmt: skip
    """Answer questions with BLEND's model, score the answers, print one line per task and the table of tracks.

    Stopped or killed, the same command goes on after the last answer; finished, it shows the scores again. Always
    shown beside: what giving the same answer to every question of a task would score.
    """
    began = time.monotonic()
    if not blend and (model is None or questions is None):
        raise click.UsageError("name a BLEND, or give --model and --questions")
    resolved, target = chosen_target(blend, profile, overrides, model, adapters, alpha)
    file = questions or held_out(_of(resolved))
    asked = read_questions(file, limit=limit, tasks=tasks, tracks=tracks, tell=say)  # faults, before a model is loaded
    evaluation = evaluation_of(
        target, file, resolved, How(**how),
        count=len(asked), limit=limit, tasks=tasks, tracks=tracks, contest=contest, mergeable=True,
    )  # fmt: skip
    ensure_evaluated(evaluation)
    show_scores(Path(evaluation.folder))
    if questions and resolved and model != "base":
        warn_of_what_was_seen(resolved, [question.prompt for question in asked])
    click.echo(f"time      {clock(time.monotonic() - began)}")


def show_scores(folder: Path) -> None:
    """The tables of one evaluation."""
    scores = read_scores(folder)
    console().print(tasks_table(scores))
    console().print(tracks_table([scores]))
    if "contest" in scores:
        console().print(*contest_tables(scores["contest"]))
    for line in notes([scores]):
        click.echo(line)
    click.echo(f"scores    {shown(folder)}/scores.json  (recipe table lays several side by side)")
    click.echo(f"answers   {shown(folder)}/predictions.jsonl, worst.jsonl")


def warn_of_what_was_seen(resolved: Resolved, prompts: Sequence[str]) -> None:
    """Where the blend holds questions of an exam (MMLU), a score on them is no test."""
    train = resolved.run.data / "train.parquet"
    if train.exists() and (seen := trained_on(train, prompts)):
        blend = resolved.blend.name
        click.echo(f"beware    {seen:,} of these {len(prompts):,} questions are rows that {blend} trains on")


def _of(resolved: Resolved | None) -> Resolved:
    assert resolved is not None
    return resolved
