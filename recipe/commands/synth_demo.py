"""``recipe synth demo``: a real endpoint on this machine, however weak its model, from request to question."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import zip_longest

import click
from rich.table import Table

from dataset_builders.synthesis.budget import Budget
from dataset_builders.synthesis.declare import synthesis_names
from dataset_builders.synthesis.report import export_all, samples
from dataset_builders.synthesis.request import Settings
from dataset_builders.synthesis.store import KEPT, REJECTED, Record, Store
from recipe.commands.options import examples, resolve_run
from recipe.steps.data import ensure_model
from recipe.steps.synth import asked_for, endpoint_here, run_it
from spine.paths import EMBEDDED, SYNTHESIS, shown
from spine.terminal import console, table

_FOLDER = SYNTHESIS.with_name(f"{SYNTHESIS.name}-demo")  # apart from what training uses
_AT_ONCE, _TIMEOUT = 4, 300.0  # requests; seconds of one
_LONGEST = 420  # characters of a cell


@click.command("demo", epilog=examples("recipe synth demo", "recipe synth demo --limit 60"))
@click.option("--limit", default=94, show_default=True, type=click.IntRange(1), help="Requests in all.")
def demo(limit: int) -> None:
    """Run a few dozen requests through `recipe serve` with the embedded 135M model; show what was kept and rejected.

    The model is far too weak for the work: it shows the checks. Answers go to a store of their own.
    """
    resolved = resolve_run("v8-ours", "cpu", "")
    ensure_model()
    with endpoint_here(EMBEDDED) as url, Store(_FOLDER / "store.sqlite") as store:
        asked = asked_for(url, None, Settings(), _AT_ONCE, _TIMEOUT)
        works = [replace(work, wanted=2) for work in run_it(resolved, list(synthesis_names()), None, asked, store)]
        asked.synthesize(works, store, Budget.parse(None, asked.model, None), limit)
        export_all(store, _FOLDER, synthesis_names())
        console().print(_side_by_side(store))
    click.echo(f"all of it {shown(_FOLDER)}/store.sqlite, report.md, report.png")


def _side_by_side(store: Store) -> Table:
    """Of each dataset one answer that was kept and one that was rejected."""
    made = table("what the model said", "dataset", "kept", "rejected")
    for column in made.columns[1:]:
        column.no_wrap, column.ratio, column.overflow = False, 1, "fold"
    for name in synthesis_names():
        kept = [_cell(record) for _, record, _ in samples(store, name, KEPT)][:1]
        rejected = [_cell(record) for _, record, _ in samples(store, name, REJECTED)][:1]
        for left, right in zip_longest(kept, rejected, fillvalue="-"):
            made.add_row(name, left, right)
            made.add_section()
    return made


def _cell(record: Record) -> str:
    fields = json.loads(record.row)[0]
    seed = json.dumps(fields, ensure_ascii=False)[: _LONGEST // 2]
    why = f"\nbecause: {record.reason}" if record.reason else ""
    text = f"seed row: {seed}\nanswer: {(record.second or record.first)[:_LONGEST]}{why}"
    return text.replace("[", "\\[")  # no markup of rich
