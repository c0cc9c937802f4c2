"""``recipe synth demo``: a real endpoint on this machine, however weak its model, from request to question."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import click
from rich.table import Table

from dataset_builders.synthesis.budget import Budget
from dataset_builders.synthesis.declare import synthesis_names
from dataset_builders.synthesis.job import export_all
from dataset_builders.synthesis.report import samples
from dataset_builders.synthesis.request import Settings
from dataset_builders.synthesis.store import Store
from dataset_builders.synthesis.tables import KEPT, REJECTED, Record
from recipe.commands.options import examples, resolve_run
from recipe.steps.data import ensure_model
from recipe.steps.synth import asked_for, run_it
from spine.environments import python, variables
from spine.errors import RecipeError
from spine.paths import EMBEDDED, ROOT, SYNTHESIS, shown
from spine.progress import timed
from spine.terminal import console, say, table

_FOLDER = SYNTHESIS.with_name(f"{SYNTHESIS.name}-demo")  # apart from what training uses
_TIMEOUT, _LONGEST = 300.0, 420  # seconds of a request; characters of a cell


@click.command("demo", epilog=examples("recipe synth demo", "recipe synth demo --limit 60"))
@click.option("--limit", default=44, show_default=True, type=click.IntRange(1), help="Requests in all.")
def demo(limit: int) -> None:
    """Run a few dozen requests through a real server with the embedded 135M model; show what was kept and rejected.

    The model is far too weak for the work: it shows the checks. Answers go to a store of their own.
    """
    resolved = resolve_run("v8", "cpu", "")
    ensure_model()
    with _serving(EMBEDDED) as url, Store(_FOLDER / "store.sqlite") as store:
        asked = asked_for(url, None, Settings(), 1, _TIMEOUT)
        works = [replace(work, wanted=2) for work in run_it(resolved, list(synthesis_names()), None, asked, store)]
        asked.synthesize(works, store, Budget.parse(None, asked.model, None), limit)
        export_all(store, _FOLDER, synthesis_names())
        console().print(_side_by_side(store))
    click.echo(f"all of it {shown(_FOLDER)}/store.sqlite, report.md, report.png")


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    command = [str(python("train")), "-m", "dataset_builders.synthesis.demo_server", str(folder)]
    log, environment = _FOLDER / "server.log", variables("train", offline=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w") as words,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=words, text=True
        ) as process,
    ):
        assert process.stdout is not None
        with timed(f"starting a server with {shown(folder)}"):
            port = process.stdout.readline().strip()
        if not port:
            raise RecipeError(f"the server did not start:\n{log.read_text()[-2000:]}", where=shown(log))
        say(f"http://127.0.0.1:{port}/v1 answers")
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


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
