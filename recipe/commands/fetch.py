"""``recipe fetch``."""

from __future__ import annotations

import os
from pathlib import Path

import click
from rich.table import Table

from dataset_builders.published.fetch import fetch
from dataset_builders.published.sources import SOURCES, in_words, total
from recipe.commands.options import examples
from spine.errors import RecipeError, did_you_mean
from spine.paths import ROOT, shown
from spine.progress import Meter
from spine.terminal import console, table

OUT = ROOT / "data" / "published"
_MB = 10**6


@click.command(
    "fetch",
    epilog=examples(
        "recipe fetch --list",
        "recipe fetch esci ecinstruct mmlu",
        "recipe fetch amazon_reviews --only Video_Games --accept-licence",
        "HF_TOKEN=... recipe fetch ecinstruct --out /big/disk",
    ),
)
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option("--list", "listing", is_flag=True, help="Print sources, files, sizes and licences; fetch nothing.")
@click.option("--only", multiple=True, metavar="GLOB", help="Only these files; without a wildcard, any part of a path.")
@click.option("--accept-licence", "accepted", is_flag=True, help="I have read the licences of these sources and agree.")
@click.option("--out", default=OUT, show_default="data/published", type=click.Path(path_type=Path), help="Folder.")
def command(sources: tuple[str, ...], listing: bool, only: tuple[str, ...], accepted: bool, out: Path) -> None:
    """Fetch the published raw files of SOURCEs into the folders in which DATA= expects them.

    Stopped or killed, the same command goes on; files that lie there are verified. A token for the Hugging Face hub
    comes from HF_TOKEN.
    """
    for name in sources:
        if name not in SOURCES:
            raise RecipeError(f"no source '{name}'", way_out=did_you_mean(name, SOURCES))
    if listing:
        _list(sources)
        return
    if not sources:
        raise click.UsageError(f"name at least one source: {', '.join(SOURCES)}")
    with Meter("fetching", "MB") as meter:
        outcomes = fetch(
            {name: SOURCES[name] for name in sources}, out.absolute(),
            only=only, accepted=accepted, token=os.environ.get("HF_TOKEN", "").strip() or None,
            report=lambda done, whole, name: meter.update(done // _MB, whole and whole // _MB, name),
        )  # fmt: skip
    files = table(shown(out), "file", "size", "sha256", "", right=("size",))
    for outcome in outcomes:
        files.add_row(outcome.name, in_words(outcome.size), outcome.sha256[:16], outcome.how)
    console().print(files)
    click.echo(f"make data-v8 DATA={shown(out)}")


def _list(names: tuple[str, ...]) -> None:
    """All sources; of those that were named, every file."""
    sources = _addresses("published sources", "source", "files", "size", "licence", "needs", "read it at")
    for name, source in SOURCES.items():
        needs = "your hands" if source.by_hand else "--accept-licence" if source.licence.accept else ""
        files, licence = source.files, source.licence
        sources.add_row(name, str(len(files)), total(files), licence.name, needs, licence.url)
    console().print(sources)
    for name in names:
        source = SOURCES[name]
        listed = _addresses(f"{source.title}: {source.home}", "file", "size", "published as")
        for file in source.files:
            listed.add_row(f"{name}/{file.path}", in_words(file.size, file.estimated), file.url or "by hand")
        console().print(listed)
        if source.by_hand:
            click.echo(source.by_hand)


def _addresses(title: str, *columns: str) -> Table:
    """A table whose last column holds addresses, which are broken rather than cut."""
    made = table(title, *columns, right=("files", "size"))
    made.columns[-1].overflow = "fold"
    return made
