"""``recipe ablate``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from axolotl_configs.blend import resolve_blend
from dataset_builders.task import task_names
from inference.scoring.compare import Comparison, Verdict
from inference.scoring.forest import draw
from recipe.commands.options import examples, walk_request
from recipe.commands.trial import Options, overall, show_foretold, trial_options, tried, write_record
from recipe.steps.data import DataFrom
from recipe.trials.groups import BY, How, brings, derive
from recipe.trials.power import measured_spread, more_needed
from recipe.trials.trial import TrialRequest
from spine.paths import shown
from spine.terminal import console, table

_TITLE = {How.WITHOUT: "what each {} brings: all of {} beside {} without it",
          How.ONLY: "each {} of {} alone, beside all of {}",
          How.DOUBLE: "twice of each {} of {}, beside {} as it is"}  # fmt: skip
_SIDES = {How.WITHOUT: ("without", "with it"), How.ONLY: ("all", "alone"), How.DOUBLE: ("once", "twice")}


@click.command(
    "ablate",
    epilog=examples(
        "recipe ablate v8 --by source --dry-run",
        "recipe ablate v8 --by track --double --seeds 3 -p cpu",
        "recipe ablate v8 --by line --group line-11 --group line-12 --dry-run",
    ),
)
@click.argument("blend")
@click.option("--by", type=click.Choice(list(BY)), required=True, help="What the blend's datasets are grouped by.")
@click.option("--only", "how", flag_value=How.ONLY, type=How, help="Each group alone, instead of all without it.")
@click.option("--double", "how", flag_value=How.DOUBLE, type=How, help="Twice of each group.")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="This group only; more than once.")
@trial_options
def command(
    blend: str, by: str, how: How | None, groups: tuple[str, ...], profile: str | None, overrides: str,
    data: Path | None, decontaminate: tuple[Path, ...], seeds: int, alpha: float | None, questions: Path | None,
    **options: Any,
) -> None:  # fmt: skip
    """Tell what each group of BLEND's datasets brings: BLEND is trained with all of them, and again without each.

    A trial of as many blends as there are groups, which are written as YAML to runs/blends/. All have the same budget:
    what is left out makes room for more of the rest.
    """
    asked = walk_request(profile, overrides, data, decontaminate, questions, False)
    how = how or How.WITHOUT
    derived = derive(resolve_blend(blend, task_names()), by, how, groups)
    wanted = TrialRequest(
        (blend, *derived.values()), asked.profile, overrides, seeds, alpha, DataFrom(asked.data, asked.evaluation),
        asked.questions, f"ablate@{blend}-{how}-{by}",
    )  # fmt: skip
    given = Options(**options)
    trial = tried(wanted, given)
    if trial is None:
        return
    compared = trial.compared()
    found = brings(how, {group: compared[name] for group, name in derived.items()})
    title = _TITLE[how].format(by, blend, blend)
    console().print(_table(title, found))
    for group, row in overall(found).items():
        if row.verdict is not Verdict.NONE:
            numbers = f"{row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}], p {row.p:.2g}"
            click.echo(f"overall: {_SIDES[how][1]} {group}, {blend} answers {row.verdict.value}: {numbers}")
    none = [group for group, row in overall(found).items() if row.verdict is Verdict.NONE]
    if none:
        click.echo(f"overall: the data show no difference for {', '.join(none)}")
    spread = measured_spread(overall(found).values(), trial.tasks(), seeds)
    click.echo(more_needed(spread, trial.tasks(), seeds, given.effect))
    rows = [replace(row, name=group) for group, row in overall(found).items()]
    if rows:
        draw(
            wanted.folder / "groups.png", Comparison(trial.counts.total(), [], rows, [], None, []), *_SIDES[how], title
        )
        click.echo(f"picture   {shown(wanted.folder)}/groups.png")
    write_record(trial, compared)
    show_foretold(wanted.folder, given.real)


def _table(title: str, found: Mapping[str, Comparison]) -> Table:
    """A row for each group, with its differences overall and by track; a star where it is shown."""
    tracks = list(dict.fromkeys(row.name for one in found.values() for row in one.tracks))
    made = table(title, "group", "overall", *tracks, "types that differ", right=("overall", *tracks))
    for group, one in found.items():
        rows = {row.name: row for row in one.means}
        cells = []
        for name in ("overall", *tracks):
            row = rows.get(name)
            star = "*" if row and row.verdict is not Verdict.NONE else ""
            cells.append(f"{row.difference:+.3f}{star} [{row.low:+.2f}, {row.high:+.2f}]" if row else "-")
        types = [f"{row.name} {row.difference:+.2f}" for row in one.types if row.verdict is not Verdict.NONE]
        made.add_row(group, *cells, ", ".join(types))
    return made
