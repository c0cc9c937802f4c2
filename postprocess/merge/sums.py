"""Carries out one operation on a block of rows: read, add in fp32, round once.

On a CPU numpy does it, tile by tile, so that what one step leaves in a core's cache the next one finds there, and C the
one sum that nearly all tensors need; with a GPU torch does the same lines. Nothing grows with the model.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from postprocess.merge.kernel import add_scaled
from postprocess.merge.operation import Change, LowRank, Operation, Replace, Shift
from spine.checkpoint import ITEM, Tensor
from spine.errors import RecipeError
from spine.paths import shown

Array = NDArray[Any]
TYPES: dict[str, Any] = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16,
    "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8, "U8": np.uint8, "BOOL": np.bool_,
    "U16": np.uint16, "U32": np.uint32, "U64": np.uint64,
    "F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2,
}  # fmt: skip
# Bits of the exponent, all set in NaN and infinity.
_EXPONENT = {"F16": 0x7C00, "BF16": 0x7F80}


class Files:
    """Open files by path; reading is by position, so threads share them."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def read(self, tensor: Tensor, start: int = 0, stop: int | None = None) -> Array:
        """Rows ``start`` to ``stop`` of a tensor, in its own type; its shape if no rows are named.

        Raises:
            RecipeError: the file has become shorter since its header was read.
        """
        rows, columns = by_rows(tensor.shape)
        stop = rows if stop is None else stop
        made = np.empty((stop - start) * columns, TYPES[tensor.dtype])
        view, at = as_bytes(made), tensor.begin + start * columns * ITEM[tensor.dtype]
        while view:
            count = os.preadv(self._descriptor(tensor), [view], at)
            if not count:
                raise RecipeError(f"ends within {tensor.name}", where=shown(tensor.file))
            view, at = view[count:], at + count
        return made.reshape(tensor.shape if stop - start == rows else (stop - start, columns))

    def _descriptor(self, tensor: Tensor) -> int:
        name = str(tensor.file)
        if name not in self._open:
            self._open[name] = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        return self._open[name]

    def close(self) -> None:
        """Closes all."""
        while self._open:
            os.close(self._open.popitem()[1])


def as_bytes(array: Array) -> memoryview:
    """The bytes of a contiguous array in memory, not a copy of them."""
    return array.reshape(-1).view(np.uint8).data


def by_rows(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of a tensor of any shape: a vector is one row."""
    if len(shape) < 2:
        return 1, math.prod(shape)
    return shape[0], math.prod(shape[1:])


def finite(array: Array, dtype: str) -> bool:
    """Whether it holds neither NaN nor infinity. ``dtype``: a key of ``TYPES``; what holds no such values is finite."""
    if not array.size:
        return True
    if dtype in _EXPONENT:  # whole numbers are compared ten times as fast as floats are looked at
        bits = array.view(np.uint16) & np.uint16(0x7FFF)
        return int(bits.max()) < _EXPONENT[dtype]
    return dtype not in ("F32", "F64") or bool(np.isfinite(array).all())


class Device(Protocol):
    """Where sums are made: ``rows`` and ``columns`` of a tile that suits it."""

    rows: int
    columns: int

    def widen(self, array: Array) -> Any:
        """An array of any float type as fp32, on the device."""

    def narrow(self, result: Any, made: Array) -> None:
        """Rounds fp32 from the device into ``made``, which has the result's type."""


class Cpu:
    """numpy. Smaller tiles would lie in a core's second cache, but threads would hand the interpreter's lock to each
    other more often: with 128 x 1024 a merge took 2.6 s, with 512 x 1024 it took 2.1 s."""

    rows, columns = 512, 1024

    def widen(self, array: Array) -> Array:
        return array.astype(np.float32)

    def narrow(self, result: Array, made: Array) -> None:
        made[...] = result


class Arithmetic:
    """One operation; ``weights``: a row for each result, in it a weight for each source."""

    def __init__(self, operation: Operation, weights: Sequence[Sequence[float]], files: Files, device: Device) -> None:
        self._op, self._weights, self._files, self._device = operation, weights, files, device
        products = [change for change in operation.changes if isinstance(change, LowRank)]
        self._joined = self._as_one(products) if len(products) > 1 else None
        self._single = [change for change in operation.changes if not (self._joined and isinstance(change, LowRank))]
        self._factors = [self._load(change) for change in self._single]
        self._columns = by_rows(operation.logical)[1]
        magnitude = operation.magnitude
        self._magnitude = None if magnitude is None else device.widen(files.read(magnitude).reshape(-1))

    def _load(self, change: Change) -> tuple[Any, ...]:
        """A change's small parts in fp32: (rows, rank) and (rank, columns), or (1, columns)."""
        if isinstance(change, LowRank):
            return tuple(map(self._device.widen, self._pair(change)))
        if isinstance(change, Shift):
            return (self._device.widen(self._files.read(change.tensor).reshape(1, -1)),)
        return ()  # read with the base's rows

    def _pair(self, change: LowRank) -> list[Array]:
        pair = [self._files.read(tensor) for tensor in (change.left, change.right)]
        return [tensor.T for tensor in pair] if change.transposed else pair

    def _as_one(self, products: Sequence[LowRank]) -> tuple[list[Any], Any]:
        """Several products as a single one, of which the matrix product makes the sum: for each result the left factors
        side by side, weighed, (rows, ranks); the right ones below each other, (ranks, columns).
        """
        lefts, rights = zip(*map(self._pair, products), strict=True)
        weighed = (
            [left.astype(np.float32) * np.float32(row[change.source] * change.scale)
             for change, left in zip(products, lefts, strict=True)]
            for row in self._weights
        )  # fmt: skip
        return [self._device.widen(np.hstack(one)) for one in weighed], self._device.widen(np.vstack(rights))

    def blocks(self, start: int, stop: int) -> Iterator[tuple[int, list[Array]]]:
        """Rows of the results from ``start`` to ``stop``, block by block: the first row, then one array for each
        result, in its type and with its columns. Where nothing is computed, all results are the same array.

        Raises:
            RecipeError: NaN or infinity in a result.
        """
        operation = self._op
        rows = by_rows(operation.logical)[0]
        step = stop - start if operation.whole else self._device.rows
        for first in range(start, stop, max(1, step)):
            last = min(stop, first + step)
            real = max(first, min(last, rows))
            made, good = self._results(first, real, last) if operation.computes else self._copied(first, real, last)
            if not good:
                raise RecipeError(
                    f"{operation.name}: NaN or infinity in row {first} or a little further",
                    where=shown(operation.base.file),
                    way_out="the file is damaged, or the sum does not fit its type; fetch it again, or use a bf16 base",
                )
            yield first, made

    def _copied(self, first: int, real: int, last: int) -> tuple[list[Array], bool]:
        columns = by_rows(self._op.shape)[1]
        found = self._files.read(self._op.base, first, real).reshape(real - first, self._columns)
        # A mask may hold -inf.
        good = not self._op.name.endswith((".weight", ".bias", ".scales")) or finite(found, self._op.dtype)
        if real == last and columns == self._columns:
            return [found], good
        made = self._wide(real - first, last - first)
        made[: real - first, : self._columns] = found
        return [made], good

    def _wide(self, real: int, rows: int) -> Array:
        """Rows of a result to be filled in, of which ``real`` have values; the padding is there."""
        columns = by_rows(self._op.shape)[1]
        made = np.empty((rows, columns), TYPES[self._op.dtype])
        made[real:] = self._op.fill
        made[:, self._columns :] = self._op.fill
        return made

    @np.errstate(all="ignore")  # what is no number is refused with its place; OpenBLAS warns of what is none
    def _results(self, first: int, real: int, last: int) -> tuple[list[Array], bool]:
        made = [self._wide(real - first, last - first) for _ in self._weights]
        if real == first:
            return made, True
        base, others = self._base(first, real), [self._other(change, first, real) for change in self._single]
        # A length is that of a whole row, or column.
        step = self._columns if self._magnitude is not None else max(1, self._tile_columns(real - first))
        good = True
        for begin in range(0, self._columns, step):
            cut = slice(begin, min(self._columns, begin + step))
            deltas = [self._delta(number, other, slice(first, real), cut) for number, other in enumerate(others)]
            tiles = [result[: real - first, cut] for result in made]
            # One result's changes after the other's: only those of the joined products differ between them.
            changes = [self._changes(number, deltas, slice(first, real), cut) for number in range(len(made))]
            good &= self._quick(base[:, cut], changes, tiles) or self._general(
                base[:, cut], changes, tiles, first, real
            )
        return made, good

    def _changes(self, number: int, deltas: Sequence[Any], rows: slice, cut: slice) -> list[tuple[Any, float]]:
        """What is added to one tile of a result, each with its factor."""
        row = self._weights[number]
        found = [
            (delta, row[change.source] * getattr(change, "scale", 1.0))
            for change, delta in zip(self._single, deltas, strict=True)
        ]
        return [*found, (self._joined[0][number][rows] @ self._joined[1][:, cut], 1.0)] if self._joined else found

    def _quick(self, base: Array, changes: Sequence[Sequence[tuple[Any, float]]], tiles: Sequence[Array]) -> bool:
        """The usual case in C. False where it is another one, or a result is not finite, which is then found again."""
        if any(len(one) != 1 for one in changes) or not all(isinstance(one, LowRank) for one in self._op.changes):
            return False
        if self._magnitude is not None or not isinstance(self._device, Cpu):
            return False
        if (kernel := add_scaled()) is None or {base.dtype, tiles[0].dtype} != {np.dtype(TYPES["BF16"])}:
            return False
        return all(kernel(base, *one, tile) for ((one,), tile) in zip(changes, tiles, strict=True))

    def _general(
        self, base: Array, changes: Sequence[Sequence[tuple[Any, float]]], tiles: Sequence[Array], first: int, last: int
    ) -> bool:
        wide = self._device.widen(base)
        for weights, added, tile in zip(self._weights, changes, tiles, strict=True):
            replaced = sum(weights[change.source] for change in self._single if isinstance(change, Replace))
            result = self._sum(wide * (1 - replaced) if replaced else wide, added)
            self._device.narrow(self._lengthened(result, first, last), tile)
        return all(finite(tile, self._op.dtype) for tile in tiles)

    def _tile_columns(self, rows: int) -> int:
        return self._device.rows * self._device.columns // rows

    def _base(self, first: int, last: int) -> Array:
        """(rows, columns), in the base's type, or fp32 where it was stored in 4 bit."""
        operation = self._op
        if not operation.quantised:
            found = self._files.read(operation.base, first, last).reshape(last - first, self._columns)
            if not operation.round_trip:
                return found
        from postprocess.merge import with_torch

        if operation.round_trip:
            return with_torch.round_trip(found)
        parts = {end: self._files.read(tensor) for end, tensor in operation.quantised}
        return with_torch.dequantised(self._files.read(operation.base), parts).reshape(last - first, self._columns)

    def _other(self, change: Any, first: int, last: int) -> Array | None:
        if not isinstance(change, Replace):
            return None
        return self._files.read(change.tensor, first, last).reshape(last - first, self._columns)

    def _delta(self, number: int, other: Array | None, rows: slice, cut: slice) -> Any:
        """One tile of a change at weight 1: (rows, columns) in fp32."""
        if other is not None:
            return self._device.widen(other[:, cut])
        factors = self._factors[number]
        return factors[0][rows] @ factors[1][:, cut] if len(factors) == 2 else factors[0][:, cut]

    def _sum(self, base: Any, changes: Sequence[tuple[Any, float]]) -> Any:
        """``base`` with all changes; the same steps whether one result is written or several."""
        result = base
        for delta, factor in changes:
            weighed = delta * factor
            weighed += result
            result = weighed
        return result

    def _lengthened(self, result: Any, first: int, last: int) -> Any:
        """DoRA: the output vectors at the lengths of its magnitude (PEFT's DoraLinearVariant.merge_safe)."""
        if self._magnitude is None:
            return result
        if self._op.transposed:  # (in, out)
            return result * (self._magnitude / (result * result).sum(0) ** 0.5)
        return result * (self._magnitude[first:last] / (result * result).sum(1) ** 0.5).reshape(-1, 1)
