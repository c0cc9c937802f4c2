"""``recipe push``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dataset_builders.published.sources import in_words
from recipe.commands.options import examples, resolve_run, run_options
from spine.lock import locked
from spine.paths import shown
from spine.progress import Meter
from spine.terminal import console, say, table

if TYPE_CHECKING:
    from recipe.hub.card import Facts

_MB = 10**6


@click.command(
    "push",
    epilog=examples(
        "recipe push v8",
        "recipe push v8 --card",
        "recipe push v8 --what merged-0.5625 --to USER/NAME --yes",
        "recipe push v8 --what data --to USER/NAME --public --accept-licence --yes",
        "HF_TOKEN=... recipe push v8 --what awq-0.5625 --to USER/NAME --yes",
    ),
)
@run_options
@click.option(
    "--what", default="adapter", show_default=True, metavar="WHAT",
    help="adapter, data, or a model's folder of the run: merged-0.5625, awq-0.5625.",
)  # fmt: skip
@click.option("--to", "repo", metavar="USER/NAME", help="The repository; made where there is none.")
@click.option("--yes", is_flag=True, help="Upload. Without it everything is shown and nothing sent.")
@click.option("--public", is_flag=True, help="For everybody to see.  [default: private]")
@click.option(
    "--accept-licence", "accepted", is_flag=True,
    help="With --public: I have read the licences of these sources, and may publish what is made of them.",
)  # fmt: skip
@click.option(
    "--licence", metavar="ID", help="For the card, as the hub spells it, instead of what the sources come to."
)
@click.option("--base-model", metavar="MODEL", help="What the base is called on the hub, where it is a folder here.")
@click.option("--replace", is_flag=True, help="Of a repository that holds something else: remove that.")
@click.option("--card", "only_card", is_flag=True, help="Print the card and nothing else.")
def command(
    blend: str, profile: str | None, overrides: str, what: str, repo: str | None, yes: bool, public: bool,
    accepted: bool, licence: str | None, base_model: str | None, replace: bool, only_card: bool,
) -> None:  # fmt: skip
    """Show what would go to the Hugging Face hub from BLEND's run, and its card; with --yes, upload it.

    The repository shows nothing before everything has arrived; stopped or killed, the same command goes on. The token
    comes from HF_TOKEN or `hf auth login`.
    """
    from recipe.hub import card, parcel, terms, upload

    if yes and not repo:
        raise click.UsageError("--yes needs --to USER/NAME")
    resolved = resolve_run(blend, profile, overrides)
    place = repo or f"YOU/{blend}-{what}"
    upload.check_name(place)
    found = parcel.find(resolved, what, base_model)
    facts = card.facts_of(resolved, found, card.Wish(place, not public, licence, base_model))
    written = card.card(facts)
    if only_card:
        click.echo(written, nl=False)
        return
    _show(facts, written)
    if public:
        terms.refuse_public(facts.lineage.ingredients, accepted=accepted)
    if not yes:
        again = "" if repo else " --to USER/NAME"
        click.echo(f"sent      nothing: this is what would be;{again} --yes uploads it")
        return
    with locked(resolved.run.folder), Meter("uploading", "MB") as meter:
        try:
            done = upload.push(
                found, written, place, private=not public, replace=replace,
                report=lambda done, whole, name: meter.update(done // _MB, whole // _MB, name),
            )  # fmt: skip
        except KeyboardInterrupt:
            say("stopped; the same command goes on after the last file that has arrived")
            raise
        upload.note(resolved.run.folder, what, done)
    kind = "datasets/" if done.repo_type == "dataset" else ""
    click.echo(f"pushed    https://huggingface.co/{kind}{done.repo}  (commit {done.commit[:12]})")


def _show(facts: Facts, written: str) -> None:
    """The card, then the files and where they would go: what is looked for stands last."""
    click.echo(written)
    parcel, wish = facts.parcel, facts.wish
    sizes = {**parcel.sizes, "README.md": len(written.encode())}
    files = table(shown(parcel.folder), "file", "size", "", right=("size",))
    for name, size in sizes.items():
        made = "the card above" if name == "README.md" else ""
        changed = "without paths of this machine" if isinstance(parcel.files.get(name), bytes) else made
        files.add_row(name, in_words(size), changed)
    console().print(files)
    for note in facts.notes:
        click.echo(f"note      {note}")
    click.echo(f"push      {parcel.what}: {len(sizes)} files, {in_words(sum(sizes.values()))}")
    seen = "private" if wish.private else "PUBLIC"
    click.echo(f"to        {wish.repo}, a {parcel.repo_type} repository, {seen}")
    stated = facts.terms.licence or "not stated: that of the base is not known here (--licence)"
    click.echo(f"licence   {stated}{f' ({facts.terms.name})' if facts.terms.name else ''}")
