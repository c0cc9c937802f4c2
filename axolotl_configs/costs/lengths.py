"""How long rows are, in tokens: their mean, how they spread about it, and rows drawn like them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Lengths:
    """``mean`` tokens of a row; ``spread``: mean lengths, over the mean, of equally many rows from short to long."""

    mean: float
    spread: Sequence[float]

    def longest_of(self, count: int) -> float:
        """Of ``count`` rows that meet in a batch the longest, on average: the others are padded to it."""
        parts = len(self.spread)
        chance = [((at + 1) / parts) ** count - (at / parts) ** count for at in range(parts)]
        return self.mean * sum(length * part for length, part in zip(self.spread, chance, strict=True))

    @property
    def around_a_token(self) -> float:
        """The length of the row in which a token, taken at random, finds itself: long rows have more of them."""
        return self.mean * sum(length**2 for length in self.spread) / sum(self.spread)

    def drawn(self, count: int) -> NDArray[np.float64]:
        """``count`` lengths spread like these, in an order that is random and always the same."""
        parts = self.mean * np.asarray(self.spread, dtype=np.float64)
        places = (np.arange(count) + 0.5) / count * len(parts) - 0.5
        found = np.interp(places, np.arange(len(parts)), parts)
        return np.random.default_rng(0).permutation(found * (self.mean / found.mean()))
