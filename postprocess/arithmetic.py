"""Carries out one operation on a block of rows: read, add in fp32, round once. Needs torch.

A block is small enough to stay in a core's cache between the steps; nothing grows with the model.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from postprocess.operation import LowRank, Operation, Replace, Shift
from recipe.checkpoint import ITEM, Tensor
from recipe.errors import RecipeError
from recipe.paths import shown

TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
         "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
         "BOOL": torch.bool, "U16": torch.uint16, "U32": torch.uint32, "U64": torch.uint64,
         "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}  # fmt: skip
_CPU_BLOCK, _GPU_BLOCK = 2 * 2**20, 128 * 2**20  # bytes of fp32


class Files:
    """Open files by path; reading is by position, so threads share them."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def read(self, tensor: Tensor, start: int = 0, stop: int | None = None) -> torch.Tensor:
        """Rows ``start`` to ``stop`` of a tensor, in its own type; its shape if no rows are named.

        Raises:
            RecipeError: the file has become shorter since its header was read.
        """
        rows, columns = by_rows(tensor.shape)
        stop = rows if stop is None else stop
        made = torch.empty((stop - start) * columns, dtype=TYPES[tensor.dtype])
        view, at = as_bytes(made), tensor.begin + start * columns * ITEM[tensor.dtype]
        while view:
            count = os.preadv(self._descriptor(tensor), [view], at)
            if not count:
                raise RecipeError(f"ends within {tensor.name}", where=shown(tensor.file))
            view, at = view[count:], at + count
        return made.view(tensor.shape if stop - start == rows else (stop - start, columns))

    def _descriptor(self, tensor: Tensor) -> int:
        name = str(tensor.file)
        if name not in self._open:
            self._open[name] = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        return self._open[name]

    def close(self) -> None:
        """Closes all."""
        while self._open:
            os.close(self._open.popitem()[1])


def as_bytes(tensor: torch.Tensor) -> memoryview:
    """The bytes of a contiguous tensor in memory, not a copy of them."""
    return memoryview(tensor.view(-1).view(torch.uint8).numpy())


def by_rows(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of a tensor of any shape: a vector is one row."""
    if len(shape) < 2:
        return 1, math.prod(shape)
    return shape[0], math.prod(shape[1:])


def finite(tensor: torch.Tensor) -> bool:
    """Whether it holds neither NaN nor infinity. Their sum tells, fifty times faster than looking at each."""
    if not tensor.is_floating_point() or tensor.element_size() == 1:
        return True
    return math.isfinite(tensor.sum().item()) or bool(torch.isfinite(tensor).all())


class Arithmetic:
    """One operation; ``weights``: a row for each result, in it a weight for each source."""

    def __init__(self, operation: Operation, weights: Sequence[Sequence[float]], files: Files, device: str) -> None:
        self._op, self._weights, self._files, self._device = operation, weights, files, torch.device(device)
        self._factors = [self._load(change) for change in operation.changes]
        self._columns = by_rows(operation.logical)[1]
        magnitude = operation.magnitude
        self._magnitude = None if magnitude is None else files.read(magnitude).to(self._device, torch.float32)

    def _load(self, change: Any) -> tuple[torch.Tensor, ...]:
        """A change's small parts in fp32: (rows, rank) and (rank, columns), or a vector."""
        if isinstance(change, LowRank):
            pair = [self._files.read(tensor).to(self._device, torch.float32) for tensor in (change.left, change.right)]
            return tuple(tensor.T for tensor in pair) if change.transposed else tuple(pair)
        if isinstance(change, Shift):
            return (self._files.read(change.tensor).to(self._device, torch.float32),)
        return ()  # read with the base's rows

    def blocks(self, start: int, stop: int) -> Iterator[tuple[int, list[torch.Tensor]]]:
        """Rows of the results from ``start`` to ``stop``, block by block: the first row, then one tensor for each
        result, in its type and with its columns. Where nothing is computed, all results are the same tensor."""
        operation = self._op
        rows = by_rows(operation.logical)[0]
        columns = by_rows(operation.shape)[1]
        size = _GPU_BLOCK if self._device.type == "cuda" else _CPU_BLOCK
        step = stop - start if operation.whole else max(1, size // (4 * max(1, columns)))
        for first in range(start, stop, step):
            last = min(stop, first + step)
            real = min(last, rows)
            made = self._results(first, real) if first < real else []
            yield first, [self._wide(part, last - first) for part in made] or [self._wide(None, last - first)]

    def _results(self, first: int, last: int) -> list[torch.Tensor]:
        operation = self._op
        if not operation.computes:
            return [self._files.read(operation.base, first, last).view(last - first, self._columns)]
        made = self._sums(self._base(first, last), first, last)
        if self._magnitude is not None:
            lengths = self._magnitude if operation.transposed else self._magnitude[first:last]
            made = [_dora(part, lengths, operation.transposed) for part in made]
        return [part.to(TYPES[operation.dtype]).cpu() for part in made]

    def _base(self, first: int, last: int) -> torch.Tensor:
        """(rows, columns) in fp32."""
        operation = self._op
        if operation.quantised:
            packed = self._files.read(operation.base)
            parts = {end: self._files.read(tensor) for end, tensor in operation.quantised}
            found = dequantised(packed, parts, self._device)
        else:
            found = self._files.read(operation.base, first, last).to(self._device)
            if operation.round_trip:
                found = _through_nf4(found)
        return found.to(torch.float32).view(last - first, self._columns)

    def _sums(self, base: torch.Tensor, first: int, last: int) -> list[torch.Tensor]:
        """``base`` with all changes, for each row of weights; ``base`` itself is used up."""
        changes, made = list(zip(self._op.changes, self._factors, strict=True)), list[torch.Tensor]()
        deltas = [self._delta(change, factors, first, last) for change, factors in changes]
        for number, weights in enumerate(self._weights):
            result = base if number == len(self._weights) - 1 else base.clone()
            replaced = sum(weights[change.source] for change, _ in changes if isinstance(change, Replace))
            if replaced:
                result *= 1 - replaced
            for (change, factors), delta in zip(changes, deltas, strict=True):
                scale = weights[change.source] * getattr(change, "scale", 1.0)
                if delta is None:
                    result.addmm_(factors[0][first:last], factors[1], alpha=scale)
                else:
                    result.add_(delta, alpha=scale)
            made.append(result)
        return made

    def _delta(self, change: Any, factors: tuple[torch.Tensor, ...], first: int, last: int) -> torch.Tensor | None:
        """(rows, columns); None for a low-rank change: product and sum are one step, which rounds differently from
        two, so every result takes it, whether it is written alone or beside others."""
        if isinstance(change, Replace):
            found = self._files.read(change.tensor, first, last)
            return found.to(self._device, torch.float32).view(last - first, self._columns)
        return factors[0].view(1, -1) if isinstance(change, Shift) else None

    def _wide(self, part: torch.Tensor | None, rows: int) -> torch.Tensor:
        columns = by_rows(self._op.shape)[1]
        if part is not None and part.shape == (rows, columns):
            return part
        made = torch.full((rows, columns), self._op.fill, dtype=TYPES[self._op.dtype])
        if part is not None:
            made[: part.shape[0], : part.shape[1]] = part
        return made


def _dora(result: torch.Tensor, magnitude: torch.Tensor, transposed: bool) -> torch.Tensor:
    """The output vectors of ``result`` at the lengths of ``magnitude`` (PEFT's DoraLinearVariant.merge_safe)."""
    if transposed:  # (in, out)
        return result * (magnitude.view(1, -1) / result.norm(dim=0, keepdim=True))
    return result * (magnitude.view(-1, 1) / result.norm(dim=1, keepdim=True))


def dequantised(packed: torch.Tensor, parts: Mapping[str, torch.Tensor], device: torch.device) -> torch.Tensor:
    """A tensor that bitsandbytes stored in 4 bit, in the type it was quantised from."""
    from bitsandbytes.functional import QuantState, dequantize_4bit

    state = QuantState.from_dict(qs_dict=dict(parts), device=device)
    return dequantize_4bit(packed.to(device), state)


def _through_nf4(weight: torch.Tensor) -> torch.Tensor:
    """What QLoRA's training saw: blocks of 64, double quantisation, as transformers loads it."""
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    packed, state = quantize_4bit(weight.contiguous(), quant_type="nf4", compress_statistics=True)
    return dequantize_4bit(packed, state)
