"""``recipe data``."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from dataset_builders.stats import read_stats
from dataset_builders.task import load_task
from recipe.cli.common import console, data_option, examples, resolve_run, run_options, table
from recipe.cli.pipeline import ensure_data
from recipe.lock import locked
from recipe.paths import shown


@click.command("data", epilog=examples("recipe data v8", "recipe data v8 --data /published/files --set 'rows=2000'"))
@run_options
@data_option
def command(blend: str, profile: str | None, overrides: str, data: Path | None) -> None:
    """Build BLEND's datasets from raw files, hold rows out, mix them; print what became of each."""
    resolved = resolve_run(blend, profile, overrides)
    with locked(resolved.run.folder):
        folder = ensure_data(resolved, data)
    console().print(data_table(folder))


def data_table(folder: Path) -> Table:
    """Per dataset: wanted, available, kept, dropped, lengths in tokens, trained tokens, share."""
    stats = read_stats(folder / "stats.json")
    total = sum(row["kept"] for row in stats.values())
    numbers = ("wanted", "available", "kept", "held out", "p50", "p95", "max", "trained", "share")
    made = table(shown(folder), "dataset", "type", *numbers, "dropped", right=numbers)
    for name, row in stats.items():
        dropped = ", ".join(f"{number} {reason}" for reason, number in row["dropped"].items()) or "-"
        made.add_row(
            name, load_task(name).type.short, f"{row['wanted']:,}", f"{row['available']:,}", f"{row['kept']:,}",
            f"{row['held_out']:,}", str(row["p50"]), str(row["p95"]), str(row["max"]),
            f"{row['trained_tokens'] / row['tokens']:.1%}", f"{row['kept'] / total:.1%}", dropped,
        )  # fmt: skip
    return made
