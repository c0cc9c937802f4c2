"""Rounds: what a blend's training starts from, and which sum of adapters its model is at a wise-ft weight.

A round's weight is relative to where it started. From the base, ``W1 = W_base + a (W_ft - W_base)``; a second round
goes from there towards its own, ``W2 = W1 + a2 (W_ft2 - W1)``. The winners' weights of round 2 (.25, .5, .75) can only
be meant so: from the base, .25 would throw away three quarters of round 1 (docs/recipe.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from axolotl_configs.blend import parent_of
from axolotl_configs.schema import How, Parent
from spine.errors import RecipeError
from spine.mixture import Mixture
from spine.runs import Run

OF_ROUNDS = {"parent", "start"}  # keys of SET that say where a second round starts


@dataclass(frozen=True)
class Start:
    """Where a second round's training starts.

    Attributes:
        parent, alpha: the run, and its wise-ft weight.
        how: ``adapter``: the model's adapter is trained on, its B weighed so that training begins exactly at ``W1``;
            no second base lies on the disk. ``merged``: a new adapter is trained beside the merged ``W1``.
        before: where the parent's own training started.
    """

    parent: Run
    alpha: float
    how: str
    before: Start | None

    @property
    def mixture(self) -> Mixture:
        """``W1``."""
        return mixture_of(Mixture.of(self.parent.train, name=self.parent.blend), self.before, self.alpha)

    @property
    def folder(self) -> Path:
        """``W1``, as one adapter or as a whole model. Of a whole adapter, which is one already, nothing is written."""
        if self.how == "merged":
            return self.parent.mixed("merged", self.alpha)
        shares = self.mixture.shares
        return (
            self.parent.train if shares == {str(self.parent.train): 1.0} else self.parent.mixed("adapter", self.alpha)
        )

    def as_json(self) -> dict[str, Any]:
        """What a training depends on of it.

        Raises:
            RecipeError: an adapter of it is not there.
        """
        return {"how": self.how, "mixture": self.mixture.stamps()}


def mixture_of(trained: Mixture, start: Start | None, alpha: float) -> Mixture:
    """The model at the wise-ft weight ``alpha`` between ``start`` and what was ``trained`` from there.

    A training that went on from ``W1``'s adapter has it in its own, ``W_ft2 = W_base + scale * B2 A2``; one beside the
    merged ``W1`` adds to it, ``W_ft2 = W1 + scale * B2 A2``.
    """
    if start is None:
        return trained * alpha
    return (start.mixture * (1 - alpha) if start.how == "adapter" else start.mixture) + trained * alpha


def start_of(parent: Parent | None, run: Run) -> Start | None:
    """Where the training of ``run`` starts, whose blend has this ``parent``; None: at the base.

    The parent's plain run on the same profile, or with SET="parent=same ..." the one with these settings.

    Raises:
        RecipeError: SET says of a first round what its parent is, or what there is not.
    """
    said = dict(run.overrides)
    if parent is None:
        if given := OF_ROUNDS & said.keys():
            raise RecipeError(f"{run.blend} is no second round: it has no parent for {min(given)}=", where="SET")
        return None
    _check(said)
    before = parent_of(parent.blend)
    kept = {key: value for key, value in said.items() if before or key not in OF_ROUNDS}
    of = Run.of(run.profile, parent.blend, kept if said.get("parent") else {})
    return Start(of, parent.alpha, said.get("start", parent.start), start_of(before, of))


def _check(said: Mapping[str, Any]) -> None:
    known = {"parent": ("same",), "start": get_args(How)}
    for key in OF_ROUNDS & said.keys():
        if said[key] not in known[key]:
            way_out = {"parent": "parent=same: the run with these settings", "start": "start=adapter, or start=merged"}
            raise RecipeError(f"{key}={said[key]} is not known", where="SET", way_out=way_out[key])
