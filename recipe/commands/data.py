"""``recipe data``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from dataset_builders.blend.stats import REASONS, beside_published, read_stats
from recipe.commands.options import data_options, examples, resolve_run, run_options
from recipe.steps.data import DataFrom, ensure_data
from spine.lock import locked
from spine.paths import shown
from spine.task_types import TaskType
from spine.terminal import console, table

_NUMBERS = ("wanted", "available", "kept", "held\nout", "times\nasked", "p50", "p95", "max", "loss\non", "share")
# Why rows were dropped, as the head of a narrow column.
_SHORT = {
    "duplicate": "dup.",
    "near-duplicate": "near\ndup.",
    "in an evaluation file": "eval.\nfile",
    "in another dataset": "other\ndata",
    "shows a held-out entity": "shows\nheld",
    "shown in a held-out row": "shown\nheld",
    "too long": "too\nlong",
}


@click.command(
    "data",
    epilog=examples(
        "recipe data v8",
        "recipe data v8 --data /published/files --set 'rows=2000'",
        "recipe data v8 --decontaminate development.json",
    ),
)
@run_options
@data_options
def command(
    blend: str, profile: str | None, overrides: str, data: Path | None, decontaminate: tuple[Path, ...]
) -> None:
    """Build BLEND's datasets from raw files, hold rows out, mix them; print what became of each.

    Datasets are kept in a cache by content: a changed weight only mixes anew.
    """
    resolved = resolve_run(blend, profile, overrides)
    with locked(resolved.run.folder):
        folder = ensure_data(resolved, DataFrom(data, decontaminate))
    found = read_stats(folder / "stats.json")
    console().print(data_table(folder, found))
    console().print(published_table(found))
    click.echo(f"rows      {shown(folder)}/train.parquet, val.parquet  (recipe samples {blend})")
    click.echo(f"card      {shown(folder)}/card.md, blend.png, stats.json")
    for name, what in (("rejected", "rows of raw files that could not be read"), ("contaminated", "questions removed")):
        if count := sum(1 for _ in (folder / f"{name}.jsonl").open("rb")):
            click.echo(f"{name:9} {shown(folder)}/{name}.jsonl  ({count:,} {what})")


def data_table(folder: Path, found: dict[str, Any]) -> Table:
    """Per dataset: wanted, available, kept, how often asked, lengths in tokens, tokens with loss, share, dropped."""
    reasons = [reason for reason in REASONS if reason in found["totals"]["dropped"]]
    headers = [_SHORT.get(reason, reason) for reason in reasons]
    made = table(shown(folder), "dataset", "type", *_NUMBERS, *headers, right=(*_NUMBERS, *headers))
    total = max(1, found["totals"]["kept"])
    for name, row in found["datasets"].items():
        about = "~" if row["estimated"] else ""
        made.add_row(
            name, "+".join(TaskType(kind).short for kind in row["types"]), f"{row['wanted']:,}",
            f"{about}{row['available']:,}", f"{row['kept']:,}", f"{row['held_out']:,}", f"{row['upsampled']:g}x",
            str(row["p50"]), str(row["p95"]), str(row["max"]), f"{row['trained_tokens'] / max(1, row['tokens']):.1%}",
            f"{row['kept'] / total:.1%}", *(_count(row["dropped"].get(reason, 0)) for reason in reasons),
        )  # fmt: skip
    totals = found["totals"]
    made.add_section()
    made.add_row(
        f"{len(found['datasets'])} datasets", "", f"{totals['wanted']:,}", "", f"{totals['kept']:,}",
        f"{totals['held_out']:,}", "", "", "", "", f"{totals['trained_tokens'] / max(1, totals['tokens']):.1%}",
        "100%", *(_count(totals["dropped"][reason]) for reason in reasons),
    )  # fmt: skip
    return made


def _count(number: int) -> str:
    return f"{number:,}" if number else "-"


def published_table(found: dict[str, Any]) -> Table:
    """Our proportions beside those the winners have published."""
    made = table("beside the winners' slides", "", "ours", "published", right=("ours", "published"))
    for line in beside_published(found):
        made.add_row(*line)
    return made
