"""Several wise-ft weights of one adapter, scored: which is best on each track, and how the score runs over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from inference.scoring.tables import OVERALL, Part, parts
from spine.atomic import whole_file


def best_weights(scores: Mapping[float, Mapping[str, Any]]) -> Iterator[tuple[str, float, Part]]:
    """For each track, and for all of them (``overall``): the weight with the best score, the smaller of equal ones.

    Args:
        scores: the content of ``scores.json`` by weight.
    """
    for name, known in _curves(scores):
        best = min(known, key=lambda alpha: (-known[alpha]["score"], alpha))
        yield name, best, known[best]


def draw(scores: Mapping[float, Mapping[str, Any]], path: Path) -> None:
    """A PNG with one line per track over the weights, and 95% intervals as bands."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for name, known in _curves(scores):
        if len(known) < len(scores):
            continue
        weights = sorted(known)
        style: dict[str, Any] = {"color": "black", "linewidth": 2.0} if name == OVERALL else {}
        label = name if name == OVERALL else f"track {name}"
        (line,) = axes.plot(weights, [known[at]["score"] for at in weights], marker="o", label=label, **style)
        low, high = ([known[at][end] for at in weights] for end in ("low", "high"))
        axes.fill_between(weights, low, high, alpha=0.08, color=line.get_color())
    axes.set(xlabel="wise-ft weight (0: where training started, 1: what came out of it)", ylabel="score")
    axes.legend(frameon=False)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def _curves(scores: Mapping[float, Mapping[str, Any]]) -> Iterator[tuple[str, dict[float, Part]]]:
    """The parts of a track, or ``overall``, by weight; of those weights where it has a score."""
    of_weight = {alpha: parts(found) for alpha, found in scores.items()}
    for name in [*sorted({name for known in of_weight.values() for name in known} - {OVERALL}), OVERALL]:
        known = {alpha: known[name] for alpha, known in of_weight.items() if name in known}
        if known:
            yield name, known
