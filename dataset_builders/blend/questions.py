"""Questions to compare models on, and others to choose wise-ft weights on: held-out rows of the blends' own pools.

No blend trains on the product, query, session or review that such a question is about, whatever its seed or profile
(``task.held_out``), and none that is asked about in ``test`` is asked about in ``validation`` or in a run's
``val.parquet``. What a question lists besides, the products of a session say, may stand in training rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from dataset_builders.blend.mix import TEST_SHARE, Limits, Numbers, write_sides

VALIDATION, TEST = "validation", "test"
_ORDER_SEED = 0


def pool_rows(val: int, wanted: Mapping[str, int]) -> int:
    """Held-out rows that a pool must have: ``val`` for a run's ``val.parquet``, and ``wanted`` questions by side."""
    return math.ceil(max(max(val, wanted[VALIDATION]) / (1 - TEST_SHARE), wanted[TEST] / TEST_SHARE))


def write(pools: Mapping[str, Path], wanted: Mapping[str, int], limits: Limits, out: Path) -> dict[str, dict[str, int]]:
    """Writes ``out/validation.parquet`` and ``out/test.parquet`` (``rows.SCHEMA``), which share no prompt.

    Args:
        pools: the folders that ``pools.ensure_pools`` gives.
        wanted: questions of each dataset, by side.

    Returns:
        How many there are, by side and dataset; fewer than wanted where fewer are held out.
    """
    seen: set[int] = set()
    numbers = {name: Numbers.read(folder) for name, folder in pools.items()}
    rows = {
        side: {name: found.held_out(count, limits, seen, test=side == TEST) for name, found in numbers.items()}
        for side, count in wanted.items()
    }
    write_sides(pools, rows, out, seed=_ORDER_SEED)
    return {side: {name: len(places) for name, places in found.items()} for side, found in rows.items()}
