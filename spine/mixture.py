"""A mixture: a base and adapters, each with its share: ``W = W_base + sum of share * scale * B A``.

A round at a wise-ft weight, a second round upon a first, an average of checkpoints, two blends in one model: all of
them are mixtures. What merges, answers, compares or publishes is given one and asks no further.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spine.stamp import stamp


@dataclass(frozen=True)
class Part:
    """An adapter (or a whole model: its difference to the base). ``share``: 1 is all of it. ``name``: for people."""

    folder: str
    share: float
    name: str


@dataclass(frozen=True)
class Mixture:
    """``parts``: oldest first, each folder once, none with a share of 0; no parts: the base."""

    parts: tuple[Part, ...] = ()

    @classmethod
    def of(cls, folder: Path, share: float = 1.0, name: str = "") -> Mixture:
        """One adapter."""
        return cls.sum_of([Part(str(folder), share, name or folder.name)])

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Mixture:
        """From ``dataclasses.asdict``."""
        return cls(tuple(Part(**part) for part in values["parts"]))

    @classmethod
    def sum_of(cls, parts: Iterable[Part]) -> Mixture:
        """Shares of the same folder add up."""
        found: dict[str, Part] = {}
        for part in parts:
            known = found.get(part.folder)
            found[part.folder] = Part(part.folder, part.share + (known.share if known else 0.0), part.name)
        return cls(tuple(part for part in found.values() if part.share))

    def __add__(self, other: Mixture) -> Mixture:
        return self.sum_of([*self.parts, *other.parts])

    def __mul__(self, factor: float) -> Mixture:
        return self.sum_of(Part(part.folder, factor * part.share, part.name) for part in self.parts)

    def __str__(self) -> str:
        """``W + 0.421875 v8 + 0.25 v9b``."""
        terms = ("-" if part.share < 0 else "+" for part in self.parts)
        shares = ("" if abs(part.share) == 1 else f"{abs(part.share):g} " for part in self.parts)
        return "W" + "".join(f" {t} {s}{p.name}" for t, s, p in zip(terms, shares, self.parts, strict=True))

    @property
    def shares(self) -> dict[str, float]:
        """By folder."""
        return {part.folder: part.share for part in self.parts}

    def stamps(self) -> list[list[Any]]:
        """What it is, wherever it lies: of each part its stamp and its share, as JSON values.

        Raises:
            RecipeError: an adapter is not there.
        """
        return [[stamp(Path(part.folder)), part.share] for part in self.parts]


BASE = Mixture()


def weights_of(mixtures: Sequence[Mixture]) -> tuple[list[str], list[list[float]]]:
    """The folders of several mixtures, each once, and of each mixture the shares of all of these."""
    folders = list(dict.fromkeys(part.folder for mixture in mixtures for part in mixture.parts))
    return folders, [[mixture.shares.get(folder, 0.0) for folder in folders] for mixture in mixtures]
