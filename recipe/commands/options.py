"""What every command about a run has in common: BLEND, --profile, --set, and the first line it prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from spine.errors import RecipeError
from spine.hardware import this_machine
from spine.terminal import say

if TYPE_CHECKING:
    from axolotl_configs.render import Resolved
    from recipe.walk.request import WalkRequest

F = TypeVar("F", bound=Callable[..., Any])
FOLDER = click.Path(path_type=Path, file_okay=False)


def profile_option(function: F) -> F:
    return click.option(
        "--profile",
        "-p",
        envvar="PROFILE",
        help="Profile instead of the one this machine gets.  [env: PROFILE]",
    )(function)


def set_option(function: F) -> F:
    return click.option(
        "--set", "overrides", default="", envvar="SET", metavar="'KEY=VALUE ...'",
        help="Settings for this run only: axolotl's keys, or base_model, rows, val_rows, tracker, seed.  [env: SET]",
    )(function)  # fmt: skip


def alpha_option(function: F) -> F:
    return click.option(
        "--alpha", envvar="ALPHA", metavar="W[,W...]",
        help="Wise-ft weights; several are written in one reading of the base.  [default: the blend's in tracks.yaml; "
        "env: ALPHA]",
    )(function)  # fmt: skip


def dry_run_option(function: F) -> F:
    return click.option("--dry-run", is_flag=True, help="Show the plan and the disk it needs; write nothing.")(function)


def run_options(function: F) -> F:
    """BLEND, --profile and --set."""
    return click.argument("blend")(profile_option(set_option(function)))


def raw_option(function: F) -> F:
    """--data: the folder of raw files."""
    return click.option(
        "--data", envvar="DATA", type=click.Path(path_type=Path), metavar="FOLDER",
        help="Raw files, one folder per source; without it, the invented sample shop.  [env: DATA]",
    )(function)  # fmt: skip


def data_options(function: F) -> F:
    """--data, and --decontaminate: evaluation files."""
    evaluation = click.option(
        "--decontaminate", envvar="DECONTAMINATE", multiple=True, metavar="FILE",
        type=click.Path(exists=True, path_type=Path), callback=lambda context, option, paths: _files(paths),
        help="Evaluation file, or folder of such, whose questions may not be trained on (ShopBench, MMLU); more than "
        "once.  [env: DECONTAMINATE, with :]",
    )  # fmt: skip
    return raw_option(evaluation(function))


def _files(paths: Sequence[Path]) -> tuple[Path, ...]:
    """With the files of folders (MMLU's: one a subject) instead of these."""
    from inference.answering.questions import question_files

    return tuple(file for path in paths for file in (question_files(path) if path.is_dir() else [path]))


tensor_parallel_option = click.option(
    "--tensor-parallel", type=click.IntRange(1), metavar="GPUS",
    help="That a model is split over.  [default: the profile's, or else all that a machine has]",
)  # fmt: skip


def spread_options(function: F) -> F:
    """--workers and --tensor-parallel: how a model is spread over GPUs and machines."""
    workers = click.option(
        "--workers", type=click.IntRange(1), envvar="WORKERS",
        help="Of Ray.  [default: as many as there are GPUs for, or else one a node; env: WORKERS]",
    )  # fmt: skip
    return workers(tensor_parallel_option(function))


def resolve_run(blend: str, profile: str | None, overrides: str, launch: Sequence[str] | None = None) -> Resolved:
    """Resolves a run and prints, as the first line, which profile it has and why.

    A profile that is asked for is shown and planned as it is, on any machine. One that this machine gets is resolved
    for the GPUs that are here, and so is any that is trained.

    Args:
        launch: of a training, its launcher's arguments; None for all else.

    Raises:
        RecipeError: see ``choose`` and ``resolve``; or the launcher's processes do not divide the rows of a step.
    """
    # Here, not above: building the schema takes a tenth of a second, which commands without a BLEND need not wait for.
    from axolotl_configs.render import parse_set, resolve
    from axolotl_configs.schema import load_profile
    from axolotl_configs.select import choose, fitting, launched
    from dataset_builders.task import task_names

    machine = this_machine()
    name, reason = choose(machine, profile or None)
    _say_once(f"profile {name} ({reason})")
    asked = launched(launch or ())
    here = not profile or launch is not None
    there = asked or (len(fitting(machine, load_profile(name)[0].hardware)) if here else 0)
    resolved = resolve(blend, name, parse_set(overrides), task_names(), there or None)
    _say_how_many(resolved, there, asked)
    return resolved


def _say_once(line: str) -> None:
    """In a command; some resolve two runs."""
    context = click.get_current_context(silent=True)
    told = context.meta if context else {}
    if told.get(__name__) != line:
        told[__name__] = line
        say(line)


def _say_how_many(resolved: Resolved, there: int, asked: int | None) -> None:
    """Where not all GPUs can be taken, or the launcher's processes do not share a step evenly."""
    from axolotl_configs.costs.estimate import step_in_words

    if not there or resolved.processes == there:
        return
    batch = step_in_words(resolved.axolotl, resolved.processes)
    if asked:
        raise RecipeError(
            f"{asked} processes do not divide the {batch} of a step",
            where="LAUNCH",
            way_out=f'start {resolved.processes} of them, or SET="gradient_accumulation_steps=..."',
        )
    say(f"trains on {resolved.processes} of the {there} GPUs: {there} do not divide the {batch} of a step")


def walk_options(function: F) -> F:
    """--profile, --set, --data, --decontaminate, --questions and --fast: what ``walk_request`` takes."""
    questions = click.option(
        "--questions", envvar="QUESTIONS", type=click.Path(path_type=Path, exists=True), metavar="FILE",
        help="Compare the models on these, instead of on held-out questions.  [env: QUESTIONS]",
    )  # fmt: skip
    fast = click.option(
        "--fast", is_flag=True, help="On the profile's variant for CI (cpu-fast): every step, too little of each."
    )
    return profile_option(set_option(data_options(questions(fast(function)))))


def walk_request(
    profile: str | None, overrides: str, data: Path | None, decontaminate: tuple[Path, ...], questions: Path | None,
    fast: bool,
) -> WalkRequest:  # fmt: skip
    """What was asked for; says which profile it is, and why.

    Raises:
        RecipeError: there is no fast variant of the profile.
    """
    from recipe.walk.request import WalkRequest  # see ``resolve_run``

    data, questions = (path and path.absolute() for path in (data, questions))
    evaluation = tuple(path.absolute() for path in decontaminate)
    return WalkRequest(_profile(profile or None, fast), overrides, data, evaluation, questions)


def _profile(asked: str | None, fast: bool) -> str:
    from axolotl_configs.schema import names
    from axolotl_configs.select import choose

    name, reason = choose(this_machine(), asked)
    if fast and not name.endswith("-fast"):
        name, reason = f"{name}-fast", f"the variant of {name} for CI"
        if name not in names("profiles"):
            way_out = f"axolotl_configs/profiles/{name}.yaml, which begins with `include: {name[:-5]}`"
            raise RecipeError(f"there is no profile {name}", where="FAST", way_out=way_out)
    say(f"profile {name} ({reason})")
    return name


def examples(*lines: str) -> str:
    """An epilog for ``--help``."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
