"""``recipe trial``."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from inference.scoring.compare import Comparison, Difference, few_questions, sentences
from inference.scoring.forest import draw
from recipe.commands.compare import difference_table
from recipe.commands.options import data_options, examples, profile_option, set_option, walk_request
from recipe.steps.data import DataFrom
from recipe.trials.power import RECORD, expected, known_spread, measured_spread, more_needed
from recipe.trials.proxy import foretold
from recipe.trials.trial import Trial, TrialRequest
from recipe.walk.estimates import estimates
from recipe.walk.graph import Stage, alike, plan, walk
from recipe.walk.show import plan_table, show_disk
from spine.atomic import write_text
from spine.lock import locked
from spine.paths import shown
from spine.progress import clock
from spine.terminal import console, say, table

F = TypeVar("F", bound=Callable[..., Any])
_SPREAD = ("train", "eval")  # kinds of stages that Ray's workers take


@dataclass(frozen=True)
class Options:
    """``trial_options`` beyond what is tried. ``real``: the folder of a trial that this one is a proxy of."""

    effect: float
    real: Path | None
    ray: bool
    workers: int | None
    dry_run: bool


def trial_options(function: F) -> F:
    """Of ``trial`` and ``ablate``: profile, settings, data; seeds, weight, questions; the plan alone."""
    options = (
        profile_option, set_option, data_options,
        click.option("--seeds", type=click.IntRange(1, 20), default=1, show_default=True,
                     help="Trainings of each blend."),
        click.option("--alpha", type=click.FloatRange(0, 2), envvar="ALPHA",
                     help="Wise-ft weight of all.  [default: A's in tracks.yaml; env: ALPHA]"),
        click.option("--questions", type=click.Path(path_type=Path, exists=True), envvar="QUESTIONS", metavar="FILE",
                     help="Ask these instead of held-out rows of the blends.  [env: QUESTIONS]"),
        click.option("--effect", type=click.FloatRange(0.001, 1), default=0.02, show_default=True,
                     help="A difference worth knowing: what more would show it?"),
        click.option("--ray", is_flag=True,
                     help="Trainings and evaluations in workers of Ray, here or on the cluster of RAY_ADDRESS."),
        click.option("--workers", type=click.IntRange(1), envvar="WORKERS", metavar="N",
                     help="Of Ray.  [default: as many as there are GPUs for, else one a node; env: WORKERS]"),
        click.option("--check-proxy", "real", metavar="FOLDER",
                     type=click.Path(path_type=Path, file_okay=False),
                     help="Of the same trial at a larger scale: did this one foretell its effects?"),
        click.option("-n", "--dry-run", is_flag=True, help="Show what would run, its price, and what it could show."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@click.command(
    "trial",
    epilog=examples(
        "recipe trial v8 v8-ours --seeds 3 --dry-run",
        "recipe trial v8 v7 v8-ours -p cpu-fast",
        "recipe trial v8 v8-ours -p cpu --set rows=600 --effect 0.05",
        "recipe trial v8 v7 v8-ours -p cpu-fast --check-proxy runs/cpu/trial@v8_v7_v8-ours",
    ),
)
@click.argument("blends", nargs=-1, required=True, metavar="A B...")
@trial_options
def command(
    blends: tuple[str, ...], profile: str | None, overrides: str, data: Path | None, decontaminate: tuple[Path, ...],
    seeds: int, alpha: float | None, questions: Path | None, **options: Any,
) -> None:  # fmt: skip
    """Train A and each B alike, ask all of them the same questions, and tell what B does to each task, type and track.

    The budget (rows), the seeds and the questions are the same; intervals are over questions and, from two seeds on,
    over trainings. Killed, the same command goes on; more seeds add to those that are there. docs/trials.md.
    """
    asked = walk_request(profile, overrides, data, decontaminate, questions, False)
    wanted = TrialRequest(
        blends, asked.profile, overrides, seeds, alpha, DataFrom(asked.data, asked.evaluation), asked.questions
    )
    given = Options(**options)
    if trial := tried(wanted, given):
        conclude(trial, given.effect)
        show_foretold(wanted.folder, given.real)


def tried(wanted: TrialRequest, given: Options) -> Trial | None:
    """Tells what is tried and could be shown, then does it: the trial, all of whose stages are done.

    Returns:
        None of a dry run, which shows the plan and its price.
    """
    trial = Trial(wanted)
    _show_trial(trial, given.effect)
    if given.dry_run:
        _show_stages(trial)
        return None
    return _run(wanted, given)


def _show_trial(trial: Trial, effect: float) -> None:
    """What is tried, what must be known about it, and what it could show at all."""
    wanted, total = trial.wanted, trial.counts.total()
    tried = f"{', '.join(wanted.blends)}; {wanted.seeds} training{'s' * (wanted.seeds > 1)} of each"
    click.echo(f"trial     {tried}, {trial.rows:,} rows, weight {trial.alpha:g}, {total:,} questions")
    spread = known_spread(wanted.folder.parent)
    smallest = expected(trial.tasks(), wanted.seeds, spread)
    numbers = ", ".join(f"{name} {size:.3f}" for name, size in smallest.items())
    click.echo(f"can show  (4 of 5 times, before Holm) differences from: {numbers}")
    training = f", {spread.training:.3f} from training to training" if wanted.seeds > 1 and spread.training else ""
    click.echo(f"          with a deviation of {spread.question:.2f} a question{training}: {spread.source}")
    if smallest.get("overall", 0) > effect:
        click.echo(
            f"beware    a difference of {effect:g} overall would most likely not be shown: more questions or seeds"
        )
    for line in trial.beware():
        click.echo(f"beware    {line}")


def _show_stages(trial: Trial) -> None:
    """The plan and its price."""
    planned = plan(trial.all())
    found = estimates([stage for stage, _ in planned], trial.blends, trial.profile.reproduce.seconds)
    console().print(plan_table(planned, found))
    todo = [stage for stage, reason in planned if reason]
    trainings = [stage for stage in todo if stage.kind == "train"]
    seconds = sum(found[stage.name].seconds or 0 for stage in todo)
    gpus = trial.profile.hardware.gpus
    cost = f", {gpus * seconds / 3600:,.1f} GPU hours on {gpus}" if gpus else ""
    click.echo(f"price     {len(trainings)} trainings, {clock(max(1, seconds))} as far as known{cost}")
    show_disk(planned, found, trial.wanted.folder)
    _say_outdated(planned)


def _say_outdated(planned: Sequence[tuple[Stage, str]]) -> None:
    """A trial that was begun with other code, data or settings is not gone on with as if nothing had been."""
    old = [f"{stage.name} ({reason})" for stage, reason in planned if reason.startswith("changed")]
    if old:
        say(f"made with other inputs or code, and done again: {', '.join(old)}; an earlier training is kept as train.1")


def _run(wanted: TrialRequest, given: Options) -> Trial:
    """Walks until all is done and up to date; the trial as it then is."""
    trial, checked = Trial(wanted), False
    with locked(wanted.folder) as lock:

        def make() -> list[Stage]:
            nonlocal trial
            trial = Trial(wanted)
            return trial.all()

        def one(stage: Stage, title: str) -> None:
            nonlocal checked
            from recipe.walk.run import preflight, run_stage

            if not checked:
                preflight(wanted.profile, trial.profile, exports=False, elsewhere=given.ray)
                _say_outdated(plan(trial.all()))
                checked = True
            if given.ray and stage.kind in _SPREAD:
                _spread(alike(trial.all(), stage), title, trial, given.workers)
            else:
                run_stage(stage, title, trial, lock)

        walk(make, one, say)
    return trial


def _spread(stages: Sequence[Stage], title: str, trial: Trial, workers: int | None) -> None:
    """Stages that do not need one another, in workers of Ray."""
    from recipe.trials.ray import Command, together
    from recipe.walk.run import environment_of

    click.secho(f"\n{title}" + (f" and {len(stages) - 1} more" if len(stages) > 1 else ""), bold=True, err=True)
    commands = []
    for stage in stages:
        log = trial.wanted.folder / f"{stage.name.replace(' ', '-')}.log"
        say(f"  {shlex.join(stage.command)} > {shown(log)}")
        commands.append(Command(stage.command, log, tuple(os.environ.keys() - environment_of(stage.command[1]).keys())))
    together(commands, workers or 0, trial.profile.hardware.gpus)


def conclude(trial: Trial, effect: float) -> None:
    """Tables, pictures, words and numbers of a trial whose stages are all done."""
    wanted, compared, tasks = trial.wanted, trial.compared(), trial.tasks()
    first, folder = wanted.blends[0], wanted.folder
    for name, comparison in compared.items():
        console().print(difference_table(comparison))
        draw(folder / f"{name}.png", comparison, first, name)
        for line in (*sentences(comparison, first, name), *few_questions(comparison)):
            click.echo(line)
        if row := comparison.overall:
            spread = measured_spread([row], tasks, wanted.seeds)
            click.echo(more_needed(spread, tasks, wanted.seeds, effect))
        click.echo(f"picture   {shown(folder)}/{name}.png")
    write_record(trial, compared)
    for line in trial.beware():
        click.echo(f"beware    {line}")
    if len(compared) > 1:
        names = table("overall, beside " + first, "blend", "difference", "95% interval", "p", "is")
        for name, row in overall(compared).items():
            names.add_row(
                name, f"{row.difference:+.3f}", f"[{row.low:+.3f}, {row.high:+.3f}]", f"{row.p:.2g}", row.verdict.value
            )
        console().print(names)


def show_foretold(folder: Path, real: Path | None) -> None:
    """Whether the effects of this trial are those of ``real``, the same one at a larger scale."""
    if real is None:
        return
    made = table(f"as a proxy of {shown(real)}", "effects on", "of", "rank correlation", "95% interval", "same sign",
                 right=("of", "rank correlation", "same sign"))  # fmt: skip
    for row in foretold(folder, real):
        told = (
            ("-", "too few, or all alike")
            if row.rho is None
            else (f"{row.rho:+.2f}", f"[{row.low:+.2f}, {row.high:+.2f}]")
        )
        made.add_row(row.level, f"{row.effects:,}", *told, f"{row.same_sign:,}")
    console().print(made)


def overall(compared: Mapping[str, Comparison]) -> dict[str, Difference]:
    return {name: one.overall for name, one in compared.items() if one.overall}


def write_record(trial: Trial, compared: Mapping[str, Comparison]) -> None:
    """``trial.json``: all numbers, and how far they spread, which the next trial is planned with."""
    wanted, folder = trial.wanted, trial.wanted.folder
    spread = measured_spread(overall(compared).values(), trial.tasks(), wanted.seeds)
    content = {
        "blends": wanted.blends, "profile": wanted.profile, "settings": wanted.overrides, "seeds": wanted.seeds,
        "alpha": trial.alpha, "rows": trial.rows, "questions": shown(trial.questions),
        "trainings": [[shown(arm.resolved.run.train) for arm in arms] for arms in trial.arms],
        "spread": asdict(spread) if spread else None,
        "beside_first": {name: one.as_json() for name, one in compared.items()},
    }  # fmt: skip
    write_text(folder / RECORD, json.dumps(content, indent=2) + "\n")
    click.echo(f"numbers   {shown(folder)}/{RECORD}")
