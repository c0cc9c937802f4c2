"""What a parcel was made of, back to the rows: proven by the manifests' hashes, or refused.

A card that named the rows of another training would be worse than none, and so would licences that are not those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from axolotl_configs.render import Resolved, resolve
from dataset_builders.blend.stats import read_stats
from dataset_builders.task import task_names
from postprocess.awq.export import QUALITY, read_report
from recipe.hub.parcel import Kind, Parcel
from recipe.hub.terms import Ingredient, ingredients, is_invented
from spine import manifest
from spine.errors import RecipeError
from spine.mixture import Mixture, Part
from spine.paths import shown
from spine.stamp import stamp

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class Round:
    """A training and its rows. ``train``: None where only the rows are looked at."""

    resolved: Resolved
    data: Manifest
    stats: Mapping[str, Any]
    invented: bool
    train: Manifest | None


@dataclass(frozen=True)
class Lineage:
    """How a parcel came to be.

    Attributes:
        rounds: its own first, then the one whose adapter that trained on, and so on.
        merge: the manifest of the merge that put the adapter into the base; None for an adapter and for rows.
        padding: the columns' reasons, where the MLPs were widened.
        awq: the manifest of the quantisation.
        quality: what that one measured.
        unquantised: the folder of the model that was quantised.
    """

    rounds: Sequence[Round]
    merge: Manifest | None = None
    padding: Mapping[str, Any] | None = None
    awq: Manifest | None = None
    quality: Mapping[str, Any] | None = None
    unquantised: Path | None = None

    @property
    def mixture(self) -> list[list[Any]]:
        """What was merged: stamps of adapters with their shares."""
        return list(self.merge["inputs"]["mixture"]) if self.merge else []

    @property
    def own(self) -> list[float]:
        """The share of its own training's adapter, or of each of its checkpoints."""
        before = {stamp(one.resolved.run.train) for one in self.rounds[1:]}
        return [share for found, share in self.mixture if found not in before]

    @property
    def alpha(self) -> float | None:
        """The wise-ft weight."""
        return round(sum(self.own), 6) if self.merge else None

    @property
    def formula(self) -> str:
        """``W + 0.421875 v8 + 0.25 v9b``."""
        names = {stamp(one.resolved.run.train): one.resolved.blend.name for one in self.rounds}
        own = self.rounds[0].resolved.run.train
        names |= {stamp(path): path.name for path in own.glob("checkpoint-*") if path.is_dir()}
        return str(Mixture(tuple(Part(found, share, names[found]) for found, share in self.mixture)))

    @property
    def ingredients(self) -> list[Ingredient]:
        """The sources of all rounds' rows."""
        return ingredients([(one.stats, one.invented) for one in self.rounds])


def trace(resolved: Resolved, parcel: Parcel) -> Lineage:
    """Where the parcel comes from.

    Raises:
        RecipeError: a step that it was made of is no longer there, or was done again since.
    """
    if parcel.kind is Kind.DATA:
        return Lineage([_round(resolved, None)])
    if parcel.kind is Kind.ADAPTER:
        return Lineage(_rounds(resolved, parcel.manifest))
    found = _back_to_merge(resolved, parcel)
    assert found.merge is not None
    _prove_adapters(resolved, found.merge, parcel.folder)
    train = manifest.read(resolved.run.train)
    return replace(found, rounds=_rounds(resolved, train or {}))


def _back_to_merge(resolved: Resolved, parcel: Parcel) -> Lineage:
    """Padding and quantisation, each made of a folder beside it."""
    folder, known = parcel.folder, parcel.manifest
    padding, awq, quality, unquantised = None, None, None, None
    while True:
        inputs = known["inputs"]
        padding = padding or inputs.get("padding")
        if known["step"] == Kind.FOUR_BIT:
            awq, quality = known, read_report(folder) if (folder / QUALITY).is_file() else None
        elif inputs["mixture"]:
            return Lineage([], known, padding, awq, quality, unquantised)
        made_of = inputs["model"] if known["step"] == Kind.FOUR_BIT else inputs["base"]
        beside = _folder_of(resolved, made_of)
        if beside is None:
            raise RecipeError(
                "the model that it was made of is no longer beside it, or was made again since",
                where=shown(folder),
                way_out="make both again: recipe awq, or recipe merge, does what is missing",
            )
        unquantised = beside if known["step"] == Kind.FOUR_BIT else unquantised
        folder, known = beside, manifest.read(beside) or {}


def _folder_of(resolved: Resolved, made_of: str) -> Path | None:
    for path in sorted(resolved.run.folder.iterdir()):
        known = manifest.read(path)
        if known and known.get("step") in (Kind.MODEL, Kind.FOUR_BIT) and stamp(path) == made_of:
            return path
    return None


def _prove_adapters(resolved: Resolved, merge: Manifest, folder: Path) -> None:
    """What was merged is the run's adapter, or checkpoints of its training, upon those that it started from."""
    train, before = resolved.run.train, resolved.start.mixture.shares if resolved.start else {}
    known = {stamp(path) for path in (train, *train.glob("checkpoint-*"), *map(Path, before)) if path.is_dir()}
    if manifest.read(train) is None or not known.issuperset(found for found, _ in merge["inputs"]["mixture"]):
        raise RecipeError(
            f"was merged from another adapter than the one that lies in {shown(train)} now",
            where=shown(folder),
            way_out=f"merge it again: make merge-{resolved.blend.name}",
        )


def _rounds(resolved: Resolved, train: Manifest) -> list[Round]:
    own = _round(resolved, train)
    if train["inputs"].get("start") is None:
        return [own]
    start = resolved.start
    known = manifest.read(start.parent.train) if start else None
    if start is None or known is None or start.as_json() != train["inputs"]["start"]:
        raise RecipeError(
            "the adapter that its training began with is no longer there, so nobody can say which rows are in it",
            where=shown(start.parent.train if start else resolved.run.train),
            way_out=f"train both again: make train-{start.parent.blend if start else resolved.blend.name}",
        )
    parent = start.parent
    before = resolve(parent.blend, parent.profile, dict(parent.overrides), task_names())
    return [own, *_rounds(before, known)]


def _round(resolved: Resolved, train: Manifest | None) -> Round:
    folder, blend = resolved.run.data, resolved.blend.name
    data = manifest.read(folder)
    if data is None:
        raise RecipeError("the rows are not there", where=shown(folder), way_out=f"make data-{blend}")
    if bad := manifest.damaged(folder):
        raise RecipeError(f"{', '.join(bad)} changed since it was written", where=shown(folder))
    rows = {name: data["outputs"][name]["sha256"] for name in ("train.parquet", "val.parquet")}
    if train is not None and train["inputs"]["data"] != rows:
        raise RecipeError(
            "these rows are not those that the adapter was trained on: they were made again since",
            where=shown(folder),
            way_out=f"train on them: make train-{blend}",
        )
    return Round(resolved, data, read_stats(folder / "stats.json"), is_invented(data), train)
