"""What ``recipe plan`` prints."""

from __future__ import annotations

from collections.abc import Iterator

import click
from rich.table import Table

from axolotl_configs.costs.duration import BANDWIDTH_SHARE, COMPUTE_SHARE, CPU_FLOPS
from axolotl_configs.costs.estimate import batch_in_words
from axolotl_configs.costs.known_figures import environments
from axolotl_configs.costs.planning import GIB, Plan
from axolotl_configs.render import Resolved
from spine.progress import clock
from spine.terminal import console, table


def show(plan: Plan, resolved: Resolved, source: str) -> None:
    """All but whether it fits. ``source``: where the rows' lengths are from."""
    asked, training = plan.asked, plan.training
    what = f"{asked.gpus} x {asked.gpu.name}" if asked.gpu else "this machine's CPU"
    click.echo(f"run       {resolved.run.name}: {resolved.profile.base_model} on {what}")
    mean = f"{asked.lengths.mean:.0f} tokens on average ({source})"
    click.echo(f"rows      {asked.rows:,}, and {asked.val_rows:,} held out; {mean}")
    padding = training.padded / training.tokens - 1
    extra = f", {padding:.0%} more with padding" if padding > 0.005 else ""
    batch = batch_in_words(asked.settings, asked.gpus)
    packed = f", {training.rows_a_step:,.0f} rows in all" if asked.settings.get("sample_packing") else ""
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
    owner = "memory of a GPU" if plan.asked.gpus else "memory"
    made = table(f"{owner}, when it is fullest", "part", "GiB", "how", right=("GiB",))
    for part in plan.parts:
        made.add_row(part.name, f"{part.nbytes / GIB:.2f}", part.why)
    made.add_section()
    made.add_row("in all", f"{plan.memory / GIB:.2f}", f"of {plan.asked.memory_gib:.0f}")
    if plan.loading:
        made.add_row("while loading", f"{plan.loading / GIB:.2f}", "all of the base, and in fp32 what is not quantised")
    return made


def _host_table(plan: Plan) -> Table:
    machine = plan.asked.machine
    made = table("memory of the machine, step by step", "step", "GiB", "how", right=("GiB",))
    for part in plan.host:
        made.add_row(part.name, f"{part.nbytes / GIB:.2f}", part.why)
    made.add_section()
    there = "" if machine.memory_gib is None else f"of {machine.memory_gib:,.0f}, "
    made.add_row("at most", f"{max(part.nbytes for part in plan.host) / GIB:.2f}", there + machine.what)
    return made


def _installs(plan: Plan) -> Iterator[str]:
    """What must be on the machine, and what `make` fetches onto it."""
    found = environments(gpu=bool(plan.asked.gpus))
    needed = ["core", "train", "autoawq" if plan.asked.backend == "autoawq" else "quantize", "serve"]
    fetched, there = (sum(found.sizes[name][at] for name in needed) for at in (0, 1))
    if plan.asked.gpus:
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


def room(plan: Plan) -> str:
    """What it takes of what there is."""
    owner = "a GPU" if plan.asked.gpus else "of memory"
    return f"{plan.memory / GIB:.1f} of {plan.asked.memory_gib:.0f} GiB {owner}, {plan.disk / 1e9:,.1f} GB of disk"
