"""On which terms a blend's rows were had, and what that leaves to whoever publishes something made of them.

Every fact about a source is its reader's (``dataset_builders.sources``); here they are only counted and put together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_builders.published.sources import HUB, SOURCES, Licence
from spine import manifest
from spine.errors import RecipeError
from spine.models import is_local
from spine.paths import EMBEDDED, ROOT

_YOURS = Licence("not stated", "", limits="questions of one's own: their owner says what may be done with them")
_LINK = "https://huggingface.co/{repo}#licences"
# The embedded model comes out of a package that does not name the repository it was made from.
_ON_HUB = {str(EMBEDDED.relative_to(ROOT)): "HuggingFaceTB/SmolLM2-135M-Instruct"}
# From each model's page on the hub; by the longest beginning of a name that is here.
_LICENCES = {
    "HuggingFaceTB/SmolLM2-": ("Apache-2.0", ""),
    "Qwen/Qwen2-72B": ("tongyi-qianwen", "/blob/main/LICENSE"),
    "Qwen/Qwen2-": ("Apache-2.0", ""),
    "Qwen/Qwen2.5-32B": ("Apache-2.0", ""),
}


@dataclass(frozen=True)
class Ingredient:
    """A source's rows in a blend. ``home``: where it is published, or nothing."""

    name: str
    title: str
    home: str
    licence: Licence
    rows: int


@dataclass(frozen=True)
class Terms:
    """``licence`` as the hub's front matter has it: None where it is not known; ``name`` and ``link`` of an ``other``
    one."""

    licence: str | None
    name: str | None = None
    link: str | None = None


@dataclass(frozen=True)
class Base:
    """``hub``: its name there; None for a folder of the user's own. ``licence``: None where nobody here knows it."""

    name: str
    hub: str | None
    licence: Licence | None


def base_of(base_model: str, told: str | None) -> Base:
    """The base of a run.

    Args:
        base_model: the profile's; a training may have started from a merged model instead.
        told: what the user says that it is called on the hub.
    """
    given = base_model.rstrip("/")
    ours = is_local(given) or given.startswith(("/", ".", "models/"))
    hub = told or _ON_HUB.get(given) or (None if ours else given)
    found = max((start for start in _LICENCES if (hub or "").startswith(start)), key=len, default=None)
    licence = None
    if found and hub:
        name, page = _LICENCES[found]
        licence = Licence(name, f"{HUB}/{hub}{page}")
    return Base((hub or given).rpartition("/")[2], hub, licence)


def is_invented(known: Mapping[str, Any]) -> bool:
    """Whether a data folder's rows are the sample shop's. Raw files that are gone or were touched may be anybody's."""
    raw = Path(str(known.get("raw")))
    return (manifest.read(raw) or {}).get("step") == "sample-data" and not manifest.damaged(raw)


def ingredients(blends: Sequence[tuple[Mapping[str, Any], bool]]) -> list[Ingredient]:
    """The sources of one or several blends, the largest first.

    Args:
        blends: ``stats.json`` of each, and whether the published sources' rows in it are invented.
    """
    rows: Counter[str] = Counter()
    for stats, invented in blends:
        for row in stats["datasets"].values():
            if row["kept"] + row["held_out"] and not (invented and row["source"] in SOURCES):
                rows[row["source"]] += row["kept"]
    return [_ingredient(name, number) for name, number in rows.most_common()]


def _ingredient(name: str, rows: int) -> Ingredient:
    if published := SOURCES.get(name):
        return Ingredient(name, published.title, published.home, published.licence, rows)
    return Ingredient(name, f"own questions ({name})" if name != "own" else "own questions", "", _YOURS, rows)


def use(found: Sequence[Ingredient]) -> str:
    """What may be done with something made of these rows, in a few words."""
    if not found:
        return "as its base may be"
    if any("-nc" in one.licence.hub for one in found):
        return "not commercially: a source forbids it"
    if not all(one.licence.passing_on for one in found):
        return "ask first: not every source has an open licence"
    return "under the terms of its base and its sources"


def refuse_public(found: Sequence[Ingredient], *, accepted: bool) -> None:
    """Publishing what is made of rows that nobody lets be passed on is the user's decision, not a flag's default.

    Raises:
        RecipeError: a source has no open licence, and the user has not said to have read what it says instead.
    """
    closed = [one for one in found if not one.licence.passing_on]
    if accepted or not closed:
        return
    lines = "".join(f"\n  {one.title}: {one.licence.name}; {one.licence.asks}  {one.licence.url}" for one in closed)
    raise RecipeError(
        f"not for everybody to see: {len(closed)} of {len(found)} sources have no licence that lets their rows be "
        f"passed on{lines}",
        way_out="leave --public out; or read these, and if you may publish what is made of them, add --accept-licence",
    )


def of_data(found: Sequence[Ingredient], repo: str) -> Terms:
    """Of a data set: its only source's, or several."""
    kinds = {one.licence.hub for one in found}
    if not kinds:
        return Terms("unknown")  # invented rows: nobody has stated anything
    return Terms(kinds.pop()) if len(kinds) == 1 and "other" not in kinds else _several(f"datasets/{repo}")


def of_model(found: Sequence[Ingredient], base: Licence | None, repo: str) -> Terms:
    """Of a model: its base's, unless a source asks for more than its notice."""
    if not all(one.licence.commercial for one in found):
        return _several(repo)
    if base is None:
        return Terms(None)
    return Terms("other", base.name, base.url) if base.hub == "other" else Terms(base.hub)


def _several(page: str) -> Terms:
    return Terms("other", "mixed-sources", _LINK.format(repo=page))
