"""``recipe inspect``."""

from __future__ import annotations

from pathlib import Path

import click

from postprocess.inspect import inspect
from recipe.commands.options import examples
from spine.manifest import file_digest
from spine.paths import shown
from spine.progress import Meter
from spine.terminal import console, table


@click.command(
    "inspect",
    epilog=examples(
        "recipe inspect runs/cpu/v8/train",
        "recipe inspect runs/cpu/v8/awq-0.5625",
        "recipe inspect model-00001-of-00037.safetensors --checksum",
    ),
)
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--checksum", is_flag=True, help="The sha256 of every file of weights too, which reads them.")
def command(path: Path, checksum: bool) -> None:
    """Tell what PATH is (adapter, model, quantised model): shapes, types, rank, scale, padding. Loads no weights."""
    found = inspect(path)
    facts = table(f"{shown(path)}: {found.kind}", "", "")
    facts.show_header = False
    for name, value in found.facts.items():
        facts.add_row(name, value)
    console().print(facts)
    groups = table(
        "tensors (* stands for the layer's number)", "shape", "type", "how many", "name", right=("how many",)
    )
    for name, count, dtype, shape in found.groups:
        groups.add_row(shape, dtype, f"{count:,}", name)
    console().print(groups)
    if checksum:
        files = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
        with Meter("reading", "file") as meter:
            for done, file in enumerate(files, 1):
                click.echo(f"{file_digest(file)}  {file.name}")
                meter.update(done, len(files))
