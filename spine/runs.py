"""A run is a folder: ``runs/<profile>/<blend>/`` with one folder per step in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from spine.manifest import digest
from spine.paths import RUNS

Form = Literal["merged", "padded", "adapter"]  # a whole model, one with wider MLPs, or one adapter


@dataclass(frozen=True)
class Run:
    """``overrides`` (from SET) name the folder too, so that trying a setting never touches the plain run."""

    profile: str
    blend: str
    overrides: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, profile: str, blend: str, overrides: Mapping[str, Any]) -> Run:
        return cls(profile, blend, tuple(sorted(overrides.items())))

    @property
    def name(self) -> str:
        if not self.overrides:
            return self.blend
        tail = ",".join(f"{key}={value}" for key, value in self.overrides)
        short = len(tail) <= 60 and all(c.isalnum() or c in "=,._-" for c in tail)
        return f"{self.blend}+{tail if short else digest(tail)[:12]}"

    @property
    def folder(self) -> Path:
        return RUNS / self.profile / self.name

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def train(self) -> Path:
        return self.folder / "train"

    def mixed(self, form: Form, alpha: float, checkpoints: Sequence[int] = ()) -> Path:
        """The model at the wise-ft weight ``alpha``: of the whole training, or of ``checkpoints``' average."""
        average = "-average-" + "-".join(map(str, checkpoints)) if checkpoints else ""
        return self.folder / f"{form}-{alpha:g}{average}"


def made_blends() -> Path:
    """Where blends lie that a command has made (``recipe ablate``); each is a YAML as in ``axolotl_configs/blends``."""
    return RUNS / "blends"
