"""``recipe diff``."""

from __future__ import annotations

import click
from rich.table import Table

from axolotl_configs.render import Resolved
from recipe.commands.options import examples, profile_option, resolve_run, set_option
from spine.terminal import console, table


@click.command("diff", epilog=examples("recipe diff v8 v9b", "recipe diff v8 v8 --set 'lora_r=32'"))
@click.argument("first")
@click.argument("second")
@profile_option
@set_option
def command(first: str, second: str, profile: str | None, overrides: str) -> None:
    """Print what differs between two blends: rows per dataset, and axolotl's settings.

    --set applies to the SECOND only, so that a blend can be compared with a variant of itself.
    """
    one = resolve_run(first, profile, "")
    other = resolve_run(second, profile, overrides)
    tables = [found for found in (_rows(one, other), _settings(one, other)) if found.row_count]
    for found in tables:
        console().print(found)
    if not tables:
        click.echo("no difference")


def _rows(one: Resolved, other: Resolved) -> Table:
    """Full-size rows, as the blends' files say; the profile's scaling is the same for both."""
    left, right = ({p.name: p for p in side.blend.portions} for side in (one, other))
    sides = (one.run.name, other.run.name) if one.run != other.run else ("first", "second")
    made = table("rows at full size, and share", "dataset", *sides, "change", "why", right=(*sides, "change"))
    for name in left | right:
        a, b = (side[name].rows if name in side else 0 for side in (left, right))
        shares = a / one.blend.rows, b / other.blend.rows
        if abs(shares[1] - shares[0]) >= 0.0005:
            why = right[name].why if name in right else "not in it"
            change = f"{shares[1] - shares[0]:+.1%}"
            made.add_row(name, f"{a:,} {shares[0]:>6.1%}", f"{b:,} {shares[1]:>6.1%}", change, why)
    if made.row_count or one.blend.rows != other.blend.rows:
        made.add_section()
        made.add_row("all", f"{one.blend.rows:,}  100%", f"{other.blend.rows:,}  100%", "", other.blend.why)
    return made


def _settings(one: Resolved, other: Resolved) -> Table:
    made = table("axolotl settings", "setting", one.run.name, other.run.name)
    paths = ("datasets", "test_datasets", "dataset_prepared_path", "output_dir")  # differ by name alone
    for key in dict.fromkeys([*one.axolotl, *other.axolotl]):
        a, b = one.axolotl.get(key, "-"), other.axolotl.get(key, "-")
        if a != b and key not in paths:
            made.add_row(key, str(a), str(b))
    return made
