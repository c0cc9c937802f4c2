"""Several wise-ft weights of one adapter, scored: which is best on each track."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from inference.scoring.tables import OVERALL, Part, parts


def best_weights(scores: Mapping[float, Mapping[str, Any]]) -> Iterator[tuple[str, float, Part]]:
    """For each track, and for all of them (``overall``): the weight with the best score, the smaller of equal ones.

    Args:
        scores: the content of ``scores.json`` by weight.
    """
    for name, known in _curves(scores):
        best = min(known, key=lambda alpha: (-known[alpha]["score"], alpha))
        yield name, best, known[best]


def within(scores: Mapping[float, Mapping[str, Any]], track: str, best: float, part: Part) -> list[float]:
    """The other weights whose score on ``track`` lies in the best one's interval: chance may have chosen among them."""
    others = {alpha: parts(found).get(track) for alpha, found in scores.items() if alpha != best}
    return [alpha for alpha, known in others.items() if known and (known["score"] or 0.0) >= part["low"]]


def _curves(scores: Mapping[float, Mapping[str, Any]]) -> Iterator[tuple[str, dict[float, Part]]]:
    """The parts of a track, or ``overall``, by weight; of those weights where it has a score."""
    of_weight = {alpha: parts(found) for alpha, found in scores.items()}
    for name in [*sorted({name for known in of_weight.values() for name in known} - {OVERALL}), OVERALL]:
        known = {alpha: known[name] for alpha, known in of_weight.items() if name in known}
        if known:
            yield name, known
