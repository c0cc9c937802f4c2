"""Whole numbers in given proportions."""

from __future__ import annotations

from collections.abc import Sequence


def apportion(weights: Sequence[float], total: int) -> list[int]:
    """``total`` split like ``weights`` by largest remainder; each gets 1 at least while ``total`` allows it.

    The result sums to ``total`` exactly, unless ``total`` is less than the number of weights: then every share is 1.
    """
    whole = sum(weights)
    exact = [weight * total / whole for weight in weights]
    counts = [max(1, int(value)) for value in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: counts[i] - exact[i])
    for i in by_remainder[: max(0, total - sum(counts))]:
        counts[i] += 1
    while sum(counts) > max(total, len(counts)):  # only when small shares were lifted to 1
        counts[counts.index(max(counts))] -= 1
    return counts
