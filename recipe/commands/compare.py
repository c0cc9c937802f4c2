"""``recipe compare``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from axolotl_configs.schema import names
from inference.answering.answer import PREDICTIONS
from inference.scoring.compare import Comparison, compare, few_questions, matched, sentences
from inference.scoring.draws import DRAWS
from inference.scoring.forest import FORMATS, draw
from inference.scoring.predictions import Prediction, read_predictions
from inference.scoring.scores import SCORES
from inference.scoring.tables import read_scores
from recipe.commands.options import examples, profile_option, resolve_run, set_option
from recipe.steps.merge import default_alphas
from recipe.steps.result_names import adapter_name, results_folder
from spine import manifest
from spine.atomic import write_text
from spine.errors import RecipeError, did_you_mean
from spine.paths import shown
from spine.terminal import console, table

_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True)
class Side:
    """One stored evaluation. ``asked``: how: engine, type of the weights, mode, longest prompt."""

    label: str
    folder: Path
    predictions: list[Prediction]
    asked: Any


@click.command(
    "compare",
    epilog=examples(
        "recipe compare v8 v8-more-ner --common",
        "recipe compare v8 v9b --questions development.json --picture compare.png",
        "recipe compare v8 v8 --set lora_r=32",
        "recipe compare runs/cpu/v8/eval/base runs/cpu/v8/eval/adapter-1 --json compare.json",
    ),
)
@click.argument("a")
@click.argument("b")
@profile_option
@set_option
@click.option("--alpha", type=click.FloatRange(0, 2), envvar="ALPHA",
              help="Wise-ft weight of the blends.  [default: each one's in tracks.yaml; env: ALPHA]")  # fmt: skip
@click.option("--questions", type=_FILE, envvar="QUESTIONS", metavar="FILE",
              help="What the blends were asked.  [default: each run's held-out rows; env: QUESTIONS]")  # fmt: skip
@click.option("--common", is_flag=True, help="Compare on the questions both have answered, where they differ.")
@click.option("--json", "json_file", type=_FILE, metavar="FILE", help="Write the numbers.")
@click.option("--picture", type=_FILE, metavar="FILE", help=f"Draw a forest plot: {', '.join(FORMATS)}.")
@click.option(
    "--draws", type=click.IntRange(min=1000), default=DRAWS, show_default=True, help="Of questions, and swaps."
)
@click.option("--seed", default=0, show_default=True, help="Of the draws.")
def command(
    a: str, b: str, profile: str | None, overrides: str, alpha: float | None, questions: Path | None, common: bool,
    json_file: Path | None, picture: Path | None, draws: int, seed: int,
) -> None:  # fmt: skip
    """Tell whether B answers better than A, from stored predictions: nothing is asked again.

    A and B: blends (their evaluation on this profile), folders of `recipe eval`, or scores.json. --set applies to B
    only. Questions are matched by what they ask, not by where they stand. docs/evaluation.md says how it is judged.
    """
    if picture and picture.suffix not in FORMATS:
        raise click.UsageError(f"--picture: the ending must be one of {', '.join(FORMATS)}")
    sides = [_read(_folder(given, profile, sets, alpha, questions)) for given, sets in ((a, ""), (b, overrides))]
    label_a, label_b = _labels(*sides)
    try:
        pairs = matched(sides[0].predictions, sides[1].predictions, common=common)
    except RecipeError as error:
        where = f"{shown(sides[0].folder)}, {shown(sides[1].folder)}"
        raise RecipeError(error.what, where=where, way_out=error.way_out) from error
    comparison = compare(pairs, draws=draws, seed=seed)
    told = sentences(comparison, label_a, label_b)
    for letter, label, side in (("A", label_a, sides[0]), ("B", label_b, sides[1])):
        click.echo(f"{letter}  {label}  ({shown(side.folder)}, {len(side.predictions):,} questions)")
    console().print(difference_table(comparison))
    for line in (*told, *_notes(comparison, sides)):
        click.echo(line)
    if json_file:
        content = {"a": _described(label_a, sides[0]), "b": _described(label_b, sides[1]), "draws": draws, "seed": seed}
        write_text(json_file, json.dumps({**content, **comparison.as_json(), "sentences": told}, indent=2) + "\n")
        click.echo(f"numbers   {shown(json_file)}")
    if picture:
        draw(picture, comparison, label_a, label_b)
        click.echo(f"picture   {shown(picture)}")


def _folder(given: str, profile: str | None, overrides: str, alpha: float | None, questions: Path | None) -> Path:
    """The folder of results that the user means."""
    path = Path(given)
    if given not in names("blends"):
        if not path.exists():
            raise RecipeError(
                f"'{given}' is no blend, and no such folder is there",
                way_out=did_you_mean(given, names("blends")),
            )
        return path if path.is_dir() else path.parent
    resolved = resolve_run(given, profile, overrides)
    weight = default_alphas(given)[0] if alpha is None else alpha
    file = questions or resolved.run.data / "val.parquet"
    folder = results_folder(resolved.run.folder, adapter_name(weight), file)
    if not (folder / SCORES).exists():
        there = sorted(path.parent.name for path in folder.parent.glob(f"*/{SCORES}"))
        asked = f" --questions {questions}" if questions else ""
        hint = f"; evaluated are {', '.join(there)}: give the folder of one" if there else ""
        raise RecipeError(
            f"{given} is not evaluated with weight {weight:g}",
            where=shown(folder),
            way_out=f"recipe eval {given} --alpha {weight:g}{asked}{hint}",
        )
    return folder


def _read(folder: Path) -> Side:
    """A finished evaluation.

    Raises:
        RecipeError: it is not finished, or its files are no longer those it wrote.
    """
    label = read_scores(folder)["model"]
    known, damaged = manifest.read(folder), manifest.damaged(folder)
    if known is None or damaged:
        what = f"{', '.join(damaged)} changed since" if known else "the evaluation is not finished"
        raise RecipeError(what, where=shown(folder), way_out="run the same `recipe eval` again: it goes on from there")
    asked = known.get("inputs", {}).get("answers", {}).get("engine")
    return Side(label, folder, read_predictions(folder / PREDICTIONS), asked)


def _labels(a: Side, b: Side) -> tuple[str, str]:
    """The models' names, or, where both are called the same, their folders."""
    if a.label != b.label:
        return a.label, b.label
    return shown(a.folder), shown(b.folder)


def difference_table(comparison: Comparison) -> Table:
    numbers = ("questions", "A", "B", "B - A", "95% interval", "p")
    title = f"{comparison.questions:,} questions"
    made = table(title, "", "metric", "track", *numbers, "B is", right=("track", *numbers))
    for rows in (comparison.tasks, comparison.types, comparison.means):
        for row in rows:
            made.add_row(
                row.name, row.metric, str(row.track or "-") if row.metric else "", f"{row.questions:,}",
                f"{row.a:.3f}", f"{row.b:.3f}", f"{row.difference:+.3f}", f"[{row.low:+.3f}, {row.high:+.3f}]",
                f"{row.p:.2g}", row.verdict.value,
            )  # fmt: skip
        made.add_section()
    return made


def _notes(comparison: Comparison, sides: list[Side]) -> list[str]:
    """What the numbers do not say."""
    a, b = sides
    notes = []
    if comparison.left_out:
        notes.append(f"without a score on one side, and left out: {', '.join(comparison.left_out)}")
    notes += few_questions(comparison)
    if a.asked != b.asked:
        how = " and ".join(", ".join(map(str, side.asked or ["unknown"])) for side in sides)
        notes.append(f"asked in different ways, which is part of the difference: {how}")
    asked_a, asked_b = len(a.predictions), len(b.predictions)
    if comparison.questions < max(asked_a, asked_b):
        notes.append(f"of A's {asked_a:,} and B's {asked_b:,} questions, {comparison.questions:,} are the same")
    return [f"note      {note}" for note in notes]


def _described(label: str, side: Side) -> dict[str, Any]:
    return {"model": label, "folder": shown(side.folder), "questions": len(side.predictions), "asked": side.asked}
