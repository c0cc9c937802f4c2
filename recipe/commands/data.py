"""``recipe data``."""

from __future__ import annotations

from collections.abc import Mapping
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
from spine.terminal import console, fits, table

_NUMBERS = ("wanted", "available", "kept", "held\nout", "times\nasked", "p50", "p95", "max", "loss\non", "share")
_SOME = ("dataset", "type", "wanted", "kept", "held\nout", "p95", "share", "dropped")  # card.md has the others
_FEW = ("dataset", "wanted", "kept", "share", "dropped")
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
    """Per dataset: wanted, available, kept, how often asked, lengths in tokens, tokens with loss, share, dropped. On a
    narrow terminal fewer of them, none of which is cut.
    """
    totals = stats["totals"]
    reasons = {reason: _SHORT.get(reason, reason) for reason in REASONS if reason in totals["dropped"]}
    rows = [_cells(name, row, totals, reasons) for name, row in stats["datasets"].items()]
    all_of_them = _cells(f"{len(stats['datasets'])} datasets", totals, totals, reasons)
    for columns in (("dataset", "type", *_NUMBERS, *reasons.values()), _SOME, _FEW):
        lines = table(shown(folder), *columns, right=columns[2:] if "type" in columns else columns[1:])
        for row in rows:
            lines.add_row(*map(row.get, columns))
        lines.add_section()
        lines.add_row(*map(all_of_them.get, columns))
        if fits(lines):
            break
    return lines


def _cells(name: str, row: dict[str, Any], totals: dict[str, Any], reasons: Mapping[str, str]) -> dict[str, str]:
    """Of one dataset, or of all; by the heads of their columns."""
    dropped = {head: row["dropped"].get(reason, 0) for reason, head in reasons.items()}
    counts = {
        "wanted": row["wanted"],
        "kept": row["kept"],
        "held\nout": row["held_out"],
        "dropped": sum(dropped.values()),
    }
    cells = {"dataset": name, **{head: f"{count:,}" for head, count in counts.items()}}
    if row is not totals:
        cells |= {"type": "+".join(TaskType(kind).short for kind in row["types"])}
        cells |= {
            "available": f"{'~' if row['estimated'] else ''}{row['available']:,}",
            "times\nasked": f"{row['upsampled']:g}x",
        }
        cells |= {key: str(row[key]) for key in ("p50", "p95", "max")}
    cells["loss\non"] = f"{row['trained_tokens'] / max(1, row['tokens']):.1%}"
    cells["share"] = f"{row['kept'] / max(1, totals['kept']):.1%}"
    return cells | {head: f"{count:,}" if count else "-" for head, count in dropped.items()}
