"""``recipe questions``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from axolotl_configs.render import parse_set, resolve
from axolotl_configs.schema import is_name
from dataset_builders.held_out import TEST, VALIDATION
from dataset_builders.task import task_names
from inference.answering.harness import GROUP, write_tasks
from inference.answering.questions import read_questions
from recipe.commands.options import data_options, examples, profile_option, resolve_run, set_option
from recipe.steps.data import DataFrom
from recipe.steps.questions import ensure_questions
from spine import manifest
from spine.paths import shown
from spine.terminal import console, table

_HARNESS = "lm-eval"


def named(name: str) -> str:
    """What becomes a folder's name."""
    try:
        return is_name(name) if name else name
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command(
    "questions",
    epilog=examples(
        "recipe questions v8",
        "recipe questions v7 v8 v7b v9b --data /published/files",
        "recipe sweep v8 --questions runs/cpu/questions/validation.parquet",
        "recipe eval v8 --questions runs/cpu/questions/test.parquet",
        "recipe questions v8 --as lm-eval",
    ),
)
@click.argument("blends", nargs=-1, required=True, metavar="BLEND...")
@profile_option
@set_option
@data_options
@click.option(
    "--name",
    default="",
    callback=lambda context, option, name: named(name),
    help="Write them beside the usual ones: questions@NAME/NAME-test.parquet.",
)
@click.option("--as", "form", type=click.Choice([_HARNESS]), help="Also as a task folder of lm-evaluation-harness.")
def command(
    blends: tuple[str, ...], profile: str | None, overrides: str, data: Path | None, decontaminate: tuple[Path, ...],
    name: str, form: str | None,
) -> None:  # fmt: skip
    """Write held-out questions: some to choose wise-ft weights on, others to compare models on.

    They are rows of the BLENDs' datasets about what no blend is trained on, as many of each dataset as the profile says
    under `questions:`. All runs of a profile share them.
    """
    first = resolve_run(blends[0], profile, overrides)
    others = [resolve(blend, first.run.profile, parse_set(overrides), task_names()) for blend in blends[1:]]
    folder = ensure_questions([first, *others], DataFrom(data, decontaminate), name)
    written, sides = manifest.read(folder) or {}, (VALIDATION, TEST)
    counts = {side: Counter[str]() for side in sides}
    for side in sides:
        for name, count in written["datasets"][side].items():
            counts[side][str(written["tracks"][name] or "-")] += count
    lines = table("questions", "track", *sides, right=sides)
    for track in sorted(counts[TEST] | counts[VALIDATION]):
        lines.add_row(track, *(f"{counts[side][track]:,}" for side in sides))
    lines.add_section()
    lines.add_row("", *(f"{counts[side].total():,}" for side in sides))
    console().print(lines)
    files = list(written["outputs"])
    click.echo(f"questions {shown(folder)}/{', '.join(files)}")
    if form:
        _for_the_harness(folder, next(file for file in files if TEST in file))


def _for_the_harness(folder: Path, file: str) -> None:
    """The questions that models are compared on; the command that asks them."""
    questions, there = read_questions(folder / file), folder / _HARNESS
    tasks = write_tasks(there, questions)
    count = sum(tasks.values())
    click.echo(
        f"{_HARNESS}   {shown(there)}: {count:,} of {len(questions):,} questions, multiple choice, {len(tasks)} tasks"
    )
    click.echo(f"ask       cd {shown(there)} && lm_eval --model hf --model_args pretrained=MODEL,dtype=float32 "
               f"--include_path . --tasks {GROUP} --apply_chat_template")  # fmt: skip
