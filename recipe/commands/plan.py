"""``recipe plan``: refuses what cannot fit, and prints what the rest takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from axolotl_configs.costs.duration import BANDWIDTH_SHARE, COMPUTE_SHARE, CPU_FLOPS
from axolotl_configs.costs.estimate import batch_in_words
from axolotl_configs.costs.known_figures import environments
from axolotl_configs.costs.memory import in_fp32
from axolotl_configs.costs.planning import GIB, Plan, make_plan, ways_out
from axolotl_configs.render import Resolved, parse_set, resolve
from axolotl_configs.schema import names
from dataset_builders.task import task_names
from postprocess.awq.export import ENVIRONMENTS
from recipe.commands.options import alpha_option, examples, resolve_run, run_options
from recipe.steps.plan import plan_request
from spine.atomic import free_gib, write_text
from spine.errors import RecipeError
from spine.paths import shown
from spine.progress import clock
from spine.terminal import console, table

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
    request, source = plan_request(resolved, alpha, config_file, gpu_name, row_tokens)
    plan = make_plan(request)
    _show(plan, resolved, source)
    if json_file:
        write_text(json_file, json.dumps(plan.as_json(), indent=2) + "\n")
        click.echo(f"numbers   {shown(json_file)}")
    _refuse(plan, resolved, overrides, alpha, config_file)
    if not request.machine.here:
        for lack in plan.short_of_memory():
            click.echo(f"beware    {lack}, {request.machine.what}")
    click.echo("fits      " + _room(plan))


def _refuse(plan: Plan, resolved: Resolved, overrides: str, alpha: str | None, config_file: Path | None) -> None:
    """Says what would fit, where this plan does not.

    Raises:
        RecipeError: it does not.
    """
    faults, ways, place = plan.faults(), [], resolved.run.folder
    if faults:
        ways = [*ways_out(plan.request), *_other_profiles(resolved, overrides, alpha, config_file)]
    if plan.request.machine.here:
        if plan.disk > (free := free_gib(place) * GIB):
            faults.append(f"all steps leave {plan.disk / 1e9:,.1f} GB, {free / 1e9:,.1f} are free in {shown(place)}")
            ways.append("RECIPE_RUNS=/big/disk, or remove what earlier steps left")
        if short := plan.short_of_memory():
            faults += short
            by_layers = plan.request.backend == "autoawq"
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
            if other.profile.hardware.gpus and not make_plan(plan_request(other, alpha, config_file)[0]).faults():
                yield f"PROFILE={name}"
        except RecipeError:
            continue  # these settings do not go with that profile


def _show(plan: Plan, resolved: Resolved, source: str) -> None:
    """All but whether it fits. ``source``: where the rows' lengths are from."""
    request, training = plan.request, plan.training
    what = f"{request.gpus} x {request.gpu.name}" if request.gpu else "this machine's CPU"
    click.echo(f"run       {resolved.run.name}: {resolved.profile.base_model} on {what}")
    mean = f"{request.lengths.mean:.0f} tokens on average ({source})"
    click.echo(f"rows      {request.rows:,}, and {request.val_rows:,} held out; {mean}")
    padding = training.padded / training.tokens - 1
    extra = f", {padding:.0%} more with padding" if padding > 0.005 else ""
    batch = batch_in_words(request.settings, request.gpus)
    packed = f", {training.rows_a_step:,.0f} rows in all" if request.settings.get("sample_packing") else ""
    click.echo(f"steps     {training.steps:,} of {batch}{packed}; {training.tokens / 1e6:,.1f} M tokens{extra}")
    screen = console()
    screen.print(_memory_table(plan))
    screen.print(_host_table(plan))
    screen.print(_steps_table(plan))
    for line in _installs(plan):
        click.echo(line)
    for line in _hours(plan):
        click.echo(line)


def _memory_table(plan: Plan) -> Table:
    owner = "memory of a GPU" if plan.request.gpus else "memory"
    made = table(f"{owner}, when it is fullest", "part", "GiB", "how", right=("GiB",))
    for part in plan.parts:
        made.add_row(part.name, f"{part.nbytes / GIB:.2f}", part.why)
    made.add_section()
    made.add_row("in all", f"{plan.memory / GIB:.2f}", f"of {plan.request.memory_gib:.0f}")
    if plan.loading:
        made.add_row("while loading", f"{plan.loading / GIB:.2f}", "all of the base, and in fp32 what is not quantised")
    return made


def _host_table(plan: Plan) -> Table:
    machine = plan.request.machine
    made = table("memory of the machine, step by step", "step", "GiB", "how", right=("GiB",))
    for part in plan.host:
        made.add_row(part.name, f"{part.nbytes / GIB:.2f}", part.why)
    made.add_section()
    there = "" if machine.memory_gib is None else f"of {machine.memory_gib:,.0f}, "
    made.add_row("at most", f"{max(part.nbytes for part in plan.host) / GIB:.2f}", there + machine.what)
    return made


def _installs(plan: Plan) -> Iterator[str]:
    """What must be on the machine, and what `make` fetches onto it."""
    found = environments()
    sizes = found.sizes(gpu=bool(plan.request.gpus))
    needed = ["core", "train", "autoawq" if plan.request.backend == "autoawq" else "quantize", "serve"]
    fetched, there = (sum(sizes[name][at] for name in needed) for at in (0, 1))
    if plan.request.gpus:
        yield (
            f"needs     NVIDIA driver {found.driver} or newer, GPUs of compute capability {found.capability} or newer: "
            f"torch {found.torch} is built for CUDA {found.cuda}"
        )
    yield f"installs  {', '.join(needed)}: {fetched:.1f} GB to fetch, {there:.1f} GB in .venvs/"


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
    if plan.request.gpu is None:
        kind = "fp32" if in_fp32(plan.request.settings) else "bf16"
        rate = f"{CPU_FLOPS[kind] / 1e9:.0f} GFLOP/s in {kind}"
        yield f"time      training at {rate}, as measured on two cores; yours may be another CPU"
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


def _room(plan: Plan) -> str:
    """What it takes of what there is."""
    owner = "a GPU" if plan.request.gpus else "of memory"
    return f"{plan.memory / GIB:.1f} of {plan.request.memory_gib:.0f} GiB {owner}, {plan.disk / 1e9:,.1f} GB of disk"
