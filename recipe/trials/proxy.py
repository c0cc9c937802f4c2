"""What a small trial foretells of a larger one: whether the same blends' effects rank alike at both scales.

A proxy (a smaller model, fewer rows) that ranks blends otherwise than the real run is worth nothing, however sharp its
intervals are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recipe.trials.power import RECORD
from spine.errors import RecipeError
from spine.paths import shown

LEVELS = ("tasks", "types", "tracks", "overall")
_LEAST = 4  # effects that a correlation is told of
_DRAWS, _SEED = 2_000, 11


@dataclass(frozen=True)
class Foretold:
    """Effects of one level at both scales.

    Attributes:
        effects: B minus A, of each B and each task (type, track) that both trials have.
        rho: Spearman's rank correlation, with a 95% interval of a bootstrap over the effects; None of too few.
        same_sign: of how many effects both scales say the same direction.
    """

    level: str
    effects: int
    same_sign: int
    rho: float | None = None
    low: float = -1.0
    high: float = 1.0


def foretold(proxy: Path, real: Path) -> list[Foretold]:
    """What the trial in the folder ``proxy`` foretells of that in ``real``.

    Raises:
        RecipeError: one of them was not finished, or they have no blend in common.
    """
    small, large = _effects(proxy), _effects(real)
    found = []
    for level in LEVELS:
        common = [key for key in small[level] if key in large[level]]
        if common:
            found.append(_foretold(level, [small[level][key] for key in common], [large[level][key] for key in common]))
    if not found:
        raise RecipeError(
            "no blend of it was tried here", where=shown(real), way_out="the same command at another scale, in full"
        )
    return found


def _effects(folder: Path) -> dict[str, dict[tuple[str, str], float]]:
    file = folder / RECORD
    if not file.is_file():
        raise RecipeError("no trial that was finished", where=shown(file), way_out="recipe runs lists what there is")
    beside = json.loads(file.read_text(encoding="utf-8"))["beside_first"]
    found: dict[str, dict[tuple[str, str], float]] = {level: {} for level in LEVELS}
    for blend, compared in beside.items():
        for level in LEVELS:
            rows = compared[level] if level != "overall" else [compared[level]]
            found[level] |= {(blend, row["name"]): row["difference"] for row in rows if row}
    return found


def _foretold(level: str, small: Sequence[float], large: Sequence[float]) -> Foretold:
    pairs = np.array([small, large])
    same = int((np.sign(pairs[0]) == np.sign(pairs[1])).sum())
    if len(small) < _LEAST:
        return Foretold(level, len(small), same)
    draws = np.random.default_rng(_SEED).integers(0, len(small), (_DRAWS, len(small)))
    drawn = [rho for draw in draws if not np.isnan(rho := _spearman(pairs[:, draw]))]
    rho = _spearman(pairs)
    if np.isnan(rho):  # all effects of one scale are the same
        return Foretold(level, len(small), same)
    return Foretold(level, len(small), same, rho, *map(float, np.quantile(drawn, (0.025, 0.975))))


def _spearman(pairs: NDArray[np.float64]) -> float:
    """Of two rows; equal values share the mean of their ranks. NaN where a row has but one value."""
    ranks = []
    for row in pairs:
        _, place, count = np.unique(row, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(count) - (count - 1) / 2)[place])
    centred = np.array(ranks) - np.mean(ranks, axis=1, keepdims=True)
    size = float(np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float((centred[0] * centred[1]).sum() / size) if size else float("nan")
