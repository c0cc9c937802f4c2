"""``recipe samples``."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import click

from dataset_builders.pools.rows import Row, read_rows
from recipe.commands.options import data_options, examples, resolve_run, run_options
from recipe.steps.data import DataFrom, ensure_data
from spine.chat import ChatTokenizer
from spine.errors import RecipeError, did_you_mean
from spine.lock import locked


@click.command(
    "samples",
    epilog=examples(
        "recipe samples v8",
        "recipe samples v8 --task liked_titles -n 5",
        "recipe samples v8 --val --from 100 | less -R",
    ),
)
@run_options
@data_options
@click.option("--task", metavar="DATASET", help="Rows of this dataset only.")
@click.option("--val", "held_out", is_flag=True, help="Held-out rows instead of training rows.")
@click.option("--from", "start", default=0, show_default=True, type=click.IntRange(min=0), help="Rows to pass over.")
@click.option("-n", "number", default=20, show_default=True, type=click.IntRange(min=1), help="Rows to show.")
def command(
    blend: str, profile: str | None, overrides: str, data: Path | None, decontaminate: tuple[Path, ...],
    task: str | None, held_out: bool, start: int, number: int,
) -> None:  # fmt: skip
    """Page through BLEND's rows as the model will see them; the tokens that carry loss stand between ‹ and ›.

    Builds the data first where that is needed.
    """
    resolved = resolve_run(blend, profile, overrides)
    known = [portion.name for portion in resolved.portions]
    if task is not None and task not in known:
        raise RecipeError(f"{blend} has no dataset '{task}'", way_out=did_you_mean(task, known))
    with locked(resolved.run.folder):
        folder = ensure_data(resolved, DataFrom(data, decontaminate))
    tokenizer = ChatTokenizer.load(resolved.profile.base_model)
    rows = read_rows(folder / ("val.parquet" if held_out else "train.parquet"))
    of_task = (row for row in rows if task is None or row["task"] == task)
    pages = (_page(at, row, tokenizer) for at, row in enumerate(islice(of_task, start, start + number), start))
    if sys.stdout.isatty():
        click.echo_via_pager(pages)
    else:
        for page in pages:
            click.echo(page, nl=False)


def _page(place: int, row: Row, tokenizer: ChatTokenizer) -> str:
    facts = f"{row['task']} [{row['wording']}]  {row['tokens']} tokens, {row['trained_tokens']} with loss"
    prompt, answer = tokenizer.pieces(row["messages"])
    head = click.style(f"--- {place}  {facts}  {row['entities'][0]}\n", bold=True)
    with_loss = click.style("".join(f"‹{piece}›" for piece in answer), fg="green", bold=True)
    return f"{head}{click.style(prompt, dim=True)}{with_loss}\n\n"
