"""``recipe data``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from dataset_builders.blend.evaluation_files import COLUMNS
from dataset_builders.blend.stats import REASONS, beside_published, own_files, read_stats
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
    stats = read_stats(folder / "stats.json")
    console().print(_datasets(folder, stats))
    beside = table("beside the winners' slides and poster", "", "ours", "published", right=("ours", "published"))
    for line in beside_published(stats):
        beside.add_row(*line)
    console().print(beside)
    if stats["beside"]:
        right = COLUMNS[2:-1]
        likeness = table(
            "beside the evaluation files (words of prompts; distinct ones in as many)", *COLUMNS, right=right
        )
        for found in stats["beside"]:
            likeness.add_row(*found.values())
        console().print(likeness)
    for told in own_files(stats):
        click.echo(f"own       {told}")
    click.echo(f"rows      {shown(folder)}/train.parquet, val.parquet  (recipe samples {blend})")
    click.echo(f"card      {shown(folder)}/card.md, blend.png, stats.json")
    for name, what in (("rejected", "rows of raw files that could not be read"), ("contaminated", "questions removed")):
        if count := sum(1 for _ in (folder / f"{name}.jsonl").open("rb")):
            click.echo(f"{name:9} {shown(folder)}/{name}.jsonl  ({count:,} {what})")


def _datasets(folder: Path, stats: dict[str, Any]) -> Table:
    """Per dataset: wanted, available, kept, how often asked, lengths in tokens, tokens with loss, share, dropped."""
    totals = stats["totals"]
    reasons = {reason: _SHORT.get(reason, reason) for reason in REASONS if reason in totals["dropped"]}
    lines = table(shown(folder), "dataset", "type", *_NUMBERS, *reasons.values(), right=(*_NUMBERS, *reasons.values()))

    def add(name: str, kinds: str, row: dict[str, Any], available: str, asked: str, lengths: Sequence[str]) -> None:
        lines.add_row(
            name, kinds, f"{row['wanted']:,}", available, f"{row['kept']:,}", f"{row['held_out']:,}", asked, *lengths,
            f"{row['trained_tokens'] / max(1, row['tokens']):.1%}", f"{row['kept'] / max(1, totals['kept']):.1%}",
            *(f"{row['dropped'][reason]:,}" if row["dropped"].get(reason) else "-" for reason in reasons),
        )  # fmt: skip

    for name, row in stats["datasets"].items():
        kinds = "+".join(TaskType(kind).short for kind in row["types"])
        available = f"{'~' if row['estimated'] else ''}{row['available']:,}"
        add(name, kinds, row, available, f"{row['upsampled']:g}x", [str(row[key]) for key in ("p50", "p95", "max")])
    lines.add_section()
    add(f"{len(stats['datasets'])} datasets", "", totals, "", "", ("", "", ""))
    return lines
