"""How long rows are, and what axolotl makes of them: steps, micro batches, how many rows and tokens each of these has.

With ``sample_packing`` a micro batch is made of bins, each filled with as many whole rows as fit. The counts are those
of axolotl 0.19 (utils/samplers/multipack.py, utils/trainer.py: calculate_total_num_steps, core/trainers/base.py);
tests/train_env/test_packing.py compares them with its sampler's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axolotl_configs.costs.estimate import steps

# Attention that tells the rows of a bin apart by itself: axolotl then makes one long bin of a micro batch.
_LONG_BINS = ("flash", "flex", "xformers", "sage", "kernels-community/")
_ROWS_A_BIN = 200  # sample_packing_bin_size, where the settings do not say
_DRAWN = 4096  # rows that are packed to learn how full bins become; of more rows they become 0.5% fuller at most
_MULTIPLE = 64  # pad_to_sequence_len pads to the next multiple of it


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


@dataclass(frozen=True)
class Batches:
    """Of one training, or of one look at the held-out rows.

    Attributes:
        micro_batches: one after another, on each GPU.
        rows: that one micro batch holds, on average.
        tokens: of one micro batch, with padding.
        context: tokens that a token is compared with, on average.
    """

    micro_batches: int
    rows: float
    tokens: float
    context: float


def training_batches(settings: Mapping[str, Any], rows: int, lengths: Lengths, gpus: int) -> tuple[int, Batches]:
    """Steps of the optimiser, and the micro batches that they are made of."""
    accumulation = settings.get("gradient_accumulation_steps", 1)
    if not settings.get("sample_packing"):
        count = steps(settings, gpus, rows)
        return count, _padded(settings, count * accumulation, settings.get("micro_batch_size", 1), lengths)
    whole, batches = _packed(settings, rows, lengths)
    a_pass = max(1, whole // (accumulation * max(1, gpus)))  # bins that fill no whole step are left out
    count = int(settings.get("max_steps") or a_pass * settings.get("num_epochs", 1))
    return count, Batches(count * accumulation, batches.rows, batches.tokens, batches.context)


def held_out_batches(settings: Mapping[str, Any], rows: int, lengths: Lengths, gpus: int) -> Batches:
    """Of one look: packed as the training rows are, unless ``eval_sample_packing`` is false."""
    if settings.get("sample_packing") and settings.get("eval_sample_packing") is not False:
        whole, batches = _packed(settings, rows, lengths)
        return Batches(math.ceil(whole / max(1, gpus)), batches.rows, batches.tokens, batches.context)
    size = settings.get("eval_batch_size") or settings.get("micro_batch_size", 1)
    return _padded(settings, math.ceil(rows / (size * max(1, gpus))), size, lengths)


def first_fit(sizes: NDArray[np.float64], capacity: float, most: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Tokens and rows of each bin, when every row goes into the first bin that still has room for it.

    Args:
        sizes: tokens of the rows, in their order; none is larger than ``capacity``.
        most: rows in a bin.
    """
    room, held, opened = np.full(len(sizes), float(capacity)), np.zeros(len(sizes), dtype=np.int64), 0
    for size in sizes:
        place = int(np.argmax((room[: opened + 1] >= size) & (held[: opened + 1] < most)))  # the next is empty
        room[place] -= size
        held[place] += 1
        opened = max(opened, place + 1)
    return capacity - room[:opened], held[:opened]


def _padded(settings: Mapping[str, Any], count: int, size: int, lengths: Lengths) -> Batches:
    """Micro batches of ``size`` rows, each in a slot of its own, padded to the longest of them."""
    slot = _full(settings) if settings.get("pad_to_sequence_len") else lengths.longest_of(size)
    return Batches(count, size, size * slot, slot / 2)


def _packed(settings: Mapping[str, Any], rows: int, lengths: Lengths) -> tuple[int, Batches]:
    """Micro batches that all the rows fill, together, and what one of them is like."""
    size, length = settings.get("micro_batch_size", 1), settings["sequence_len"]
    long = str(settings.get("attn_implementation") or "").startswith(_LONG_BINS)
    if settings.get("multipack_real_batches") is not None:
        long = long and not settings["multipack_real_batches"]
    bins, capacity = (1, size * length) if long else (size, length)
    most = settings.get("sample_packing_bin_size") or _ROWS_A_BIN
    found, held, longest = _bins(lengths.mean, tuple(lengths.spread), min(rows, _DRAWN), capacity, bins, most)
    whole = (found if rows <= _DRAWN else math.ceil(rows / held)) // bins
    padded = settings.get("pad_to_sequence_len") is not False  # axolotl's default with packing
    filled = bins * (_full(settings, capacity) if padded else longest)
    # A mask that tells rows apart has scores computed for all of the bin; flash attention skips the other rows'.
    context = lengths.around_a_token / 2 if long else filled / bins
    return whole, Batches(whole, bins * held, filled, context)


@lru_cache(maxsize=64)
def _bins(
    mean: float, spread: tuple[float, ...], count: int, capacity: int, together: int, most: int
) -> tuple[int, float, float]:
    """Bins that ``count`` rows fill, rows in one of them, and tokens in the fullest of ``together``, on average.

    The last bin, which the rows happen to leave half empty, is in the first number alone.
    """
    sizes = np.clip(Lengths(mean, spread).drawn(count), 1, capacity)
    tokens, held = first_fit(sizes, capacity, most)
    found = len(tokens)
    tokens, held = (tokens[:-1], held[:-1]) if found > 1 else (tokens, held)
    groups = [tokens[at : at + together].max() for at in range(0, len(tokens), together)]
    return found, float(held.mean()), float(np.mean(groups))


def _full(settings: Mapping[str, Any], length: int | None = None) -> int:
    """Tokens of a slot that is padded to the end."""
    return math.ceil((length or settings["sequence_len"]) / _MULTIPLE) * _MULTIPLE
