"""``recipe plan``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from axolotl_configs.architecture import Architecture, model_config
from axolotl_configs.duration import BANDWIDTH_SHARE, COMPUTE_SHARE, CPU_FLOPS, Lengths
from axolotl_configs.estimate import check_fits, rows_a_step
from axolotl_configs.known_figures import expected_lengths, gpu, measured_lengths
from axolotl_configs.planning import GIB, Asked, Plan, make_plan, require_known, ways_out
from axolotl_configs.render import Resolved, parse_set, resolve
from axolotl_configs.schema import names
from axolotl_configs.select import fits
from dataset_builders.stats import read_stats
from dataset_builders.task import task_names
from postprocess.awq import SCRATCH
from postprocess.pad import padded_width
from recipe import manifest
from recipe.atomic import free_gib, write_text
from recipe.cli.common import console, examples, resolve_run, run_options, table
from recipe.cli.postprocessing import alpha_option, alphas_of
from recipe.errors import RecipeError
from recipe.hardware import this_machine
from recipe.paths import shown
from recipe.progress import clock

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
@click.option("--json", "json_file", type=_FILE, metavar="FILE", help="Write the numbers.")
def command(
    blend: str, profile: str | None, overrides: str, alpha: str | None, config_file: Path | None,
    gpu_name: str | None, row_tokens: float | None, json_file: Path | None,
) -> None:  # fmt: skip
    """Tell what BLEND's run will take: memory of a GPU, steps, tokens, hours, and the disk of every step.

    Needs no GPU, no weights and no hub. A plan that cannot fit is refused (exit code 1), with what would. The formulae,
    their sources, and how far they agree with what is known: docs/planning.md.
    """
    resolved = resolve_run(blend, profile, overrides)
    asked, source = asked_of(resolved, alpha, config_file, gpu_name, row_tokens)
    plan = make_plan(asked)
    _show(plan, resolved, source)
    if json_file:
        write_text(json_file, json.dumps(plan.as_json(), indent=2) + "\n")
        click.echo(f"numbers   {shown(json_file)}")
    _refuse(plan, resolved, overrides, alpha, config_file)
    click.echo("fits      " + _room(plan))


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
    asked = Asked(
        settings=resolved.axolotl,
        model=model,
        gpus=hardware.gpus,
        gpu=gpu(gpu_name or hardware.card, f"profile {resolved.run.profile}") if hardware.gpus else None,
        memory_gib=hardware.gpu_memory_gib if hardware.gpus else this_machine().memory_gib,
        rows=rows,
        val_rows=profile.val_rows,
        lengths=lengths,
        alphas=len(alphas_of(resolved.blend.name, alpha)),
        padded=width.new if padding.tensor_parallel > 1 else None,
        group=padding.group,
        scratch=SCRATCH[padding.backend],
    )
    return asked, source


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


def _show(plan: Plan, resolved: Resolved, source: str) -> None:
    asked, training = plan.asked, plan.training
    what = f"{asked.gpus} x {asked.gpu.name}" if asked.gpu else "this machine's CPU"
    click.echo(f"run       {resolved.run.name}: {resolved.profile.base_model} on {what}")
    batch = rows_a_step(asked.settings, asked.gpus)
    mean = f"{asked.lengths.mean:.0f} tokens on average ({source})"
    click.echo(f"rows      {asked.rows:,}, and {asked.val_rows:,} held out; {mean}")
    padding = training.padded / training.tokens - 1
    extra = f", {padding:.0%} more with padding" if padding > 0.005 else ""
    click.echo(f"steps     {training.steps:,} of {batch} rows; {training.tokens / 1e6:,.1f} M tokens{extra}")
    screen = console()
    screen.print(_memory_table(plan))
    screen.print(_steps_table(plan))
    for line in _hours(plan):
        click.echo(line)


def _memory_table(plan: Plan) -> Table:
    owner = "memory of a GPU" if plan.asked.gpus else "memory"
    made = table(f"{owner}, when it is fullest", "part", "GiB", "how", right=("GiB",))
    for part in plan.parts:
        made.add_row(part.name, f"{part.nbytes / GIB:.2f}", part.why)
    made.add_section()
    made.add_row("in all", f"{plan.memory / GIB:.2f}", f"of {plan.asked.memory_gib:.0f}")
    if plan.loading:
        made.add_row("while loading", f"{plan.loading / GIB:.2f}", "all of the base, and in fp32 what is not quantised")
    return made


def _steps_table(plan: Plan) -> Table:
    made = table("steps", "step", "GB on disk", "time", "how", right=("GB on disk", "time"))
    for step in plan.steps:
        time = "-" if step.seconds is None else clock(max(1.0, step.seconds))
        made.add_row(step.name, _gb(step.nbytes), time, step.why)
    made.add_section()
    made.add_row(
        "in all", f"{plan.disk / 1e9:,.2f}", "", f"with {plan.scratch / 1e9:,.1f} GB of scratch while quantising"
    )
    return made


def _gb(nbytes: float) -> str:
    return f"{nbytes / 1e9:,.2f}" if nbytes >= 1e7 else f"{nbytes / 1e9:.5f}"


def _hours(plan: Plan) -> Iterator[str]:
    """What the time is made of, and which of its figures were calibrated."""
    training = plan.training
    if plan.asked.gpu is None:
        yield f"time      training at {CPU_FLOPS / 1e9:.0f} GFLOP/s, as measured on two cores; yours may be another CPU"
        return
    yield (
        f"time      training {training.seconds / 3600:.1f} h: multiplying {training.computing / 3600:.1f} h at "
        f"{COMPUTE_SHARE:.0%} of the GPU's peak (published), unpacking weights {training.moving / 3600:.1f} h at "
        f"{BANDWIDTH_SHARE:.1%} of its bandwidth"
    )
    yield (
        f"          (calibrated on the winners' 24 h), held-out rows {training.looking / 3600:.1f} h; "
        f"{training.seconds / max(1, training.micro_batches):.2f} s a micro batch"
    )


def _refuse(plan: Plan, resolved: Resolved, overrides: str, alpha: str | None, config_file: Path | None) -> None:
    """Says what would fit, where this plan does not.

    Raises:
        RecipeError: it does not.
    """
    faults = plan.faults()
    place = resolved.run.folder
    if fits(this_machine(), resolved.profile.hardware) and plan.disk > (free := free_gib(place) * GIB):
        faults.append(f"all steps leave {plan.disk / 1e9:,.1f} GB, {free / 1e9:,.1f} are free in {shown(place)}")
    if not faults:
        return
    ways = [*ways_out(plan.asked), *_other_profiles(resolved, overrides, alpha, config_file)] if plan.faults() else []
    if len(faults) > len(plan.faults()):
        ways.append("RECIPE_RUNS=/big/disk, or remove what earlier steps left")
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


def _room(plan: Plan) -> str:
    owner = "a GPU" if plan.asked.gpus else "of memory"
    return f"{plan.memory / GIB:.1f} of {plan.asked.memory_gib:.0f} GiB {owner}, {plan.disk / 1e9:,.1f} GB of disk"
