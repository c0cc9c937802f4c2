"""``recipe runs``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from inference.scoring.tables import OVERALL, Part
from recipe.commands.options import examples
from recipe.trials.notebook import SORTED_BY, Line, ordered_by, read_runs
from spine.atomic import write_text
from spine.errors import RecipeError
from spine.paths import RUNS, shown
from spine.terminal import console, table

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    "runs",
    epilog=examples(
        "recipe runs",
        "recipe runs --sort overall --questions test",
        "recipe runs --json runs.json --csv runs.csv --page runs.html",
    ),
)
@click.option("--sort", type=click.Choice(SORTED_BY), default="date", show_default=True,
              help="Best, largest or latest first; scores of the same questions together.")  # fmt: skip
@click.option("--questions", default="", metavar="NAME", help="Only evaluations on files whose names hold this.")
@click.option("--json", "json_file", type=_FILE, metavar="FILE", help="Write the lines.")
@click.option("--csv", "csv_file", type=_FILE, metavar="FILE", help="Likewise, a score with its interval in columns.")
@click.option("--page", type=_FILE, metavar="FILE", help="Likewise, as a page for a browser, whose heads sort.")
def command(sort: str, questions: str, json_file: Path | None, csv_file: Path | None, page: Path | None) -> None:
    """Lay out every training and evaluation that lies in runs/: what was changed, what came of it, when.

    Evaluations with the same letter were asked the same questions in the same way; others are not comparable.
    """
    lines = ordered_by(read_runs(questions), sort)
    if not lines:
        what = f"no evaluation on questions '{questions}'" if questions else "nothing has been trained or evaluated yet"
        raise RecipeError(what, where=shown(RUNS), way_out="make train-v8, make eval-v8")
    console().print(_table(lines))
    asked = {line.letter: line for line in lines if line.letter}
    for letter in sorted(asked):
        click.echo(f"{letter}         {asked[letter].questions:,} questions: {asked[letter].asked}")
    if len(asked) > 1:
        click.echo(f"note      {len(asked)} ways of asking: scores are comparable within one letter, not between two")
    if json_file:
        write_text(json_file, json.dumps([asdict(line) for line in lines], indent=2, ensure_ascii=False) + "\n")
        click.echo(f"lines     {shown(json_file)}")
    if csv_file:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, [*lines[0].flat()])
        writer.writeheader()
        writer.writerows(line.flat() for line in lines)
        write_text(csv_file, text.getvalue())
        click.echo(f"lines     {shown(csv_file)}")
    if page:
        from recipe.report.page import runs_page

        write_text(page, runs_page(lines))
        click.echo(f"page      {shown(page)}")


def _table(lines: Sequence[Line]) -> Table:
    numbers = ("rows", "steps", "loss", "hours", "1", "2", "3", "4", OVERALL)
    made = table(f"{len(lines)} lines", "run", "model", *numbers[:4], "date", "", *numbers[4:], "beside", right=numbers)
    for line in lines:
        whole = ["-" if number is None else f"{number:,}" for number in (line.rows, line.steps)]
        loss, hours = ("-" if number is None else f"{number:.2f}" for number in (line.loss, line.hours))
        scores = [_score(line.scores.get(name)) for name in numbers[4:]]
        date = line.date[:16].replace("T", " ")
        made.add_row(line.run, line.model, *whole, loss, hours, date, line.letter, *scores, line.beside)
    return made


def _score(part: Part | None) -> str:
    """With half the width of its 95% interval; both ends would leave no room for the rest."""
    return "-" if part is None else f"{part['score']:.3f} ±{(part['high'] - part['low']) / 2:.2f}".replace("0.", ".")
