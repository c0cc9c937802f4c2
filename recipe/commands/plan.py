"""``recipe plan``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from axolotl_configs.costs.architecture import Architecture, model_config
from axolotl_configs.costs.duration import Gpu
from axolotl_configs.costs.estimate import check_fits
from axolotl_configs.costs.host_memory import Machine
from axolotl_configs.costs.known_figures import expected_lengths, gpu, measured_lengths, usual_memory
from axolotl_configs.costs.lengths import Lengths
from axolotl_configs.costs.planning import GIB, Asked, Plan, make_plan, require_known, ways_out
from axolotl_configs.render import Resolved, parse_set, resolve
from axolotl_configs.schema import Hardware, names
from axolotl_configs.select import fits
from dataset_builders.blend.stats import read_stats
from dataset_builders.task import task_names
from postprocess.awq.export import ENVIRONMENTS, SCRATCH
from postprocess.merge.pad import padded_width
from recipe.commands import planned
from recipe.commands.options import examples, resolve_run, run_options
from recipe.steps.merge import alpha_option, alphas_of
from spine import manifest
from spine.atomic import free_gib, write_text
from spine.errors import RecipeError
from spine.hardware import this_machine
from spine.paths import shown

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    "plan",
    epilog=examples(
        "recipe plan v8 --profile 8xa100",
        "recipe plan v8 -p 1x24gb --gpu L4 --set 'sequence_len=3072'",
        "recipe plan v9b -p 8xa100 --row-tokens 220 --json plan.json",
        "recipe plan v8 -p 1xh200 --set 'base_model=my/model' --model-config config.json",
    ),
)
@run_options
@alpha_option
@click.option(
    "--model-config",
    "config_file",
    type=_FILE,
    metavar="FILE",
    help="config.json of a base model that is not known here.",
)
@click.option("--gpu", "gpu_name", metavar="NAME", help="A GPU of known/gpus.yaml, instead of the profile's.")
@click.option("--row-tokens", type=click.FloatRange(min=1), metavar="N", help="Tokens of a row, on average.")
@click.option(
    "--backend",
    type=click.Choice(list(ENVIRONMENTS)),
    envvar="BACKEND",
    help="Of the 4-bit export, instead of the profile's.",
)
@click.option("--json", "json_file", type=_FILE, metavar="FILE", help="Write the numbers.")
def command(
    blend: str, profile: str | None, overrides: str, alpha: str | None, config_file: Path | None,
    gpu_name: str | None, row_tokens: float | None, backend: str | None, json_file: Path | None,
) -> None:  # fmt: skip
    """Tell what BLEND's run will take: memory of a GPU and of the machine, steps, tokens, hours, disk of every step.

    Also the driver, and what `make` fetches. Needs no GPU, no weights and no hub. A plan that cannot fit is refused
    (exit code 1), with what would. docs/planning.md: how far that agrees with what is known; docs/formulae.md: the
    formulae and their sources.
    """
    resolved = resolve_run(blend, profile, overrides)
    if backend:
        quantize = resolved.profile.quantize.model_copy(update={"backend": backend})
        resolved = replace(resolved, profile=resolved.profile.model_copy(update={"quantize": quantize}))
    asked, source = asked_of(resolved, alpha, config_file, gpu_name, row_tokens)
    plan = make_plan(asked)
    planned.show(plan, resolved, source)
    if json_file:
        write_text(json_file, json.dumps(plan.as_json(), indent=2) + "\n")
        click.echo(f"numbers   {shown(json_file)}")
    _refuse(plan, resolved, overrides, alpha, config_file)
    if not asked.machine.here:
        for lack in plan.short_of_memory():
            click.echo(f"beware    {lack}, {asked.machine.what}")
    click.echo("fits      " + planned.room(plan))


def asked_of(
    resolved: Resolved, alpha: str | None = None, config_file: Path | None = None, gpu_name: str | None = None,
    row_tokens: float | None = None,
) -> tuple[Asked, str]:  # fmt: skip
    """What is planned for a run, and where the lengths of its rows are from.

    Raises:
        RecipeError: the model or the GPU is not known.
    """
    profile = resolved.profile
    config = model_config(profile.base_model, config_file)
    require_known(config)
    check_fits(resolved.axolotl, config)
    model, hardware = Architecture.of(config), profile.hardware
    rows, lengths, source = _lengths(resolved, model, row_tokens)
    padding = profile.quantize
    width = padded_width(config, tp=padding.tensor_parallel, group=padding.group)
    card = gpu(gpu_name or hardware.card, f"profile {resolved.run.profile}") if hardware.gpus else None
    asked = Asked(
        settings=resolved.axolotl,
        model=model,
        gpus=hardware.gpus,
        gpu=card,
        memory_gib=hardware.gpu_memory_gib if hardware.gpus else this_machine().memory_gib,
        rows=rows,
        val_rows=profile.val_rows,
        lengths=lengths,
        alphas=len(alphas_of(resolved.blend.name, alpha)),
        padded=width.new if padding.tensor_parallel > 1 else None,
        group=padding.group,
        scratch=SCRATCH[padding.backend],
        backend=padding.backend,
        serving=profile.answer.tensor_parallel or max(1, hardware.gpus),
        machine=_machine(hardware, card),
    )
    return asked, source


def _machine(hardware: Hardware, card: Gpu | None) -> Machine:
    """This one, where the profile is for it; else what machines with such cards have."""
    here = this_machine()
    if card is None or fits(here, hardware):
        return Machine(here.memory_gib, True, "this machine's")
    usual = usual_memory(card.name)
    if usual is None:
        return Machine(None, False, "what machines with this card have is not known")
    return Machine(usual * hardware.gpus, False, f"{usual:g} for each {card.name}, as AWS rents them")


def _lengths(resolved: Resolved, model: Architecture, row_tokens: float | None) -> tuple[int, Lengths, str]:
    """Rows, their lengths, and where these are from."""
    rows = sum(portion.rows for portion in resolved.portions)
    expected = expected_lengths(resolved.portions, model.vocabulary)
    data = resolved.run.data
    if row_tokens:
        return rows, replace(expected, mean=row_tokens), "as asked"
    if manifest.read(data):
        stats = read_stats(data / "stats.json")
        return stats["totals"]["kept"], measured_lengths(stats), f"measured, {shown(data)}"
    return rows, expected, "the sample shop's; `recipe data` measures yours"


def _refuse(plan: Plan, resolved: Resolved, overrides: str, alpha: str | None, config_file: Path | None) -> None:
    """Says what would fit, where this plan does not.

    Raises:
        RecipeError: it does not.
    """
    faults, ways, place = plan.faults(), [], resolved.run.folder
    if faults:
        ways = [*ways_out(plan.asked), *_other_profiles(resolved, overrides, alpha, config_file)]
    if plan.asked.machine.here:
        if plan.disk > (free := free_gib(place) * GIB):
            faults.append(f"all steps leave {plan.disk / 1e9:,.1f} GB, {free / 1e9:,.1f} are free in {shown(place)}")
            ways.append("RECIPE_RUNS=/big/disk, or remove what earlier steps left")
        if short := plan.short_of_memory():
            faults += short
            by_layers = plan.asked.backend == "autoawq"
            ways.append("BACKEND=gptqmodel loads a layer at a time" if by_layers else "a machine with more memory")
    if not faults:
        return
    hint = " | ".join(ways) or "a base model with fewer parameters, or larger GPUs"
    raise RecipeError("the plan does not fit: " + "; ".join(faults), where=resolved.run.profile, way_out=hint)


def _other_profiles(resolved: Resolved, overrides: str, alpha: str | None, config_file: Path | None) -> Iterator[str]:
    """Profiles with a GPU on which the same base model fits."""
    for name in names("profiles"):
        sets: dict[str, Any] = {"base_model": resolved.profile.base_model, **parse_set(overrides)}
        try:
            other = resolve(resolved.blend.name, name, sets, task_names())
            if other.profile.hardware.gpus and not make_plan(asked_of(other, alpha, config_file)[0]).faults():
                yield f"PROFILE={name}"
        except RecipeError:
            continue  # these settings do not go with that profile
