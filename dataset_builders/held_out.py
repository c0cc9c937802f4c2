"""What is held out: decided by names alone, so that whatever the blend, the seed or the profile, no later round trains
on what an earlier one is judged by.

A twentieth of all entities (products, queries, sessions, reviews) is held out. What is asked about three fifths of
these stands in ``test`` alone, to compare models on; about the others, in a run's ``val.parquet`` and in
``validation``, to choose wise-ft weights on. What such a question lists besides, the products of a
session say, may stand in training rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from dataset_builders.task import Seeded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHARE = 0.05  # of all entities
TEST_SHARE = 0.6  # of those held out
VALIDATION, TEST = "validation", "test"
HELD_OUT_SEED = 0  # of all that is drawn for held-out rows: two rounds are judged by the same ones
_NAMES = Seeded(HELD_OUT_SEED, "held-out entities")


@lru_cache(maxsize=50_000)  # asked again and again of the products that many rows show
def held_out(entity: str) -> bool:
    """Whether ``entity`` is. Wrong choices are drawn from the side of the question's own entity: a question that shows
    entities of both sides cannot be used on either."""
    return _NAMES.digest(entity) < SHARE * 2**64


def only_tested(entities: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Of held-out entities, as 64 bits each: which only ``test`` asks about."""
    tested: NDArray[np.bool_] = entities % 5 < 5 * TEST_SHARE
    return tested


def rows_to_hold_out(val: int, wanted: Mapping[str, int]) -> int:
    """Held-out rows that a pool must have: ``val`` for a run's ``val.parquet``, and ``wanted`` questions by side."""
    return math.ceil(max(max(val, wanted[VALIDATION]) / (1 - TEST_SHARE), wanted[TEST] / TEST_SHARE))
