"""``recipe samples``."""

from __future__ import annotations

import sys
from functools import partial
from itertools import islice
from pathlib import Path

import click

from dataset_builders.pools.rows import Row, drawn, read_rows
from recipe.commands.options import data_options, examples, resolve_run, run_options
from recipe.steps.data import DataFrom, ensure_data
from spine.asked import listed_texts
from spine.chat import ChatTokenizer
from spine.errors import RecipeError, did_you_mean
from spine.lock import locked
from spine.task_types import TaskType


@click.command(
    "samples",
    epilog=examples(
        "recipe samples v8",
        "recipe samples v8 --task liked_titles -n 5",
        "recipe samples v8 --val --from 100 | less -R",
        "recipe samples v8 --random 200 --seed 1 --plain",
    ),
)
@run_options
@data_options
@click.option("--task", metavar="DATASET", help="Rows of this dataset only.")
@click.option("--val", "held_out", is_flag=True, help="Held-out rows instead of training rows.")
@click.option("--from", "start", default=0, show_default=True, type=click.IntRange(min=0), help="Rows to pass over.")
@click.option("-n", "number", default=20, show_default=True, type=click.IntRange(min=1), help="Rows to show.")
@click.option(
    "--random",
    "drawn_rows",
    type=click.IntRange(min=1),
    metavar="N",
    help="So many rows instead, spread over the datasets and drawn at random.",
)
@click.option("--seed", default=0, show_default=True, help="Which rows --random draws.")
@click.option("--plain", is_flag=True, help="Question and right answer alone, for reading.")
def command(
    blend: str, profile: str | None, overrides: str, data: Path | None, decontaminate: tuple[Path, ...],
    task: str | None, held_out: bool, start: int, number: int, drawn_rows: int | None, seed: int, plain: bool,
) -> None:  # fmt: skip
    """Page through BLEND's rows as the model will see them; the tokens that carry loss stand between ‹ and ›.

    To judge the questions themselves, read --random ones --plain: each with its right answer, as many of each dataset.
    Builds the data first where that is needed.
    """
    resolved = resolve_run(blend, profile, overrides)
    known = [portion.name for portion in resolved.portions]
    if task is not None and task not in known:
        raise RecipeError(f"{blend} has no dataset '{task}'", way_out=did_you_mean(task, known))
    with locked(resolved.run.folder):
        folder = ensure_data(resolved, DataFrom(data, decontaminate))
    file = folder / ("val.parquet" if held_out else "train.parquet")
    if drawn_rows:
        rows = drawn(file, drawn_rows, seed, task)
    else:
        of_task = (row for row in read_rows(file) if task is None or row["task"] == task)
        rows = enumerate(islice(of_task, start, start + number), start)
    written = _plain if plain else partial(_page, ChatTokenizer.load(resolved.profile.base_model))
    pages = (written(place, row) for place, row in rows)
    if sys.stdout.isatty():
        click.echo_via_pager(pages)
    else:
        for page in pages:
            click.echo(page, nl=False)


def _plain(place: int, row: Row) -> str:
    """Question and right answer; what stands behind the numbers of an answer, too."""
    question, answer = (turn["content"] for turn in row["messages"][1:])
    listed = {} if row["task_type"] in (TaskType.NER, TaskType.GENERATION) else listed_texts(question)
    numbers = [int(number) for number in answer.split(",") if number.isdigit()] if listed else []
    meant = "".join(f"\n   {number}. {listed[number]}" for number in numbers if number in listed)
    head = click.style(f"--- {place}  {row['task']} [{row['wording']}]  {row['task_type']}", bold=True)
    return f"{head}\n{question}\n=> {click.style(f'{answer}{meant}', fg='green')}\n\n"


def _page(tokenizer: ChatTokenizer, place: int, row: Row) -> str:
    facts = f"{row['task']} [{row['wording']}]  {row['tokens']} tokens, {row['trained_tokens']} with loss"
    prompt, answer = tokenizer.pieces(row["messages"])
    head = click.style(f"--- {place}  {facts}  {row['entities'][0]}\n", bold=True)
    with_loss = click.style("".join(f"‹{piece}›" for piece in answer), fg="green", bold=True)
    return f"{head}{click.style(prompt, dim=True)}{with_loss}\n\n"
