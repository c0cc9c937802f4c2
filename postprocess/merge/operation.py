"""What becomes of one tensor: a copy, a sum of changes, a wider shape. Plain data; ``arithmetic`` carries it out.

Every change is linear in its weight ``a``, so several sources add up: ``W + a1 * D1 + a2 * D2``. DoRA is not, and
stands alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spine.checkpoint import Tensor


@dataclass(frozen=True, slots=True)
class LowRank:
    """``a * scale * left @ right``. left: (rows, rank), right: (rank, columns); ``transposed``: they are stored as
    left.T and right.T (fan_in_fan_out, embeddings)."""

    source: int
    left: Tensor
    right: Tensor
    scale: float
    transposed: bool = False


@dataclass(frozen=True, slots=True)
class Shift:
    """``a * scale * tensor``: LoRA's own bias."""

    source: int
    tensor: Tensor
    scale: float


@dataclass(frozen=True, slots=True)
class Replace:
    """``a * (tensor - W)``: a tensor trained in full (modules_to_save, another model)."""

    source: int
    tensor: Tensor


Change = LowRank | Shift | Replace


@dataclass(frozen=True, slots=True)
class Operation:
    """One tensor of the result.

    Attributes:
        name: in the result.
        base: where it is read.
        dtype: of the result; arithmetic is in fp32, rounded once to it.
        shape: of the result; larger than the base's where padded, with ``fill`` in what is new.
        changes: what is added, each with the weight of its source.
        magnitude: DoRA's: rows of the sum are scaled to these lengths.
        quantised: the tensors that a 4-bit base needs besides ``base`` (bitsandbytes), by the end of their names.
        logical: the base's shape once it is dequantised.
        round_trip: the base is rounded to NF4 and back before anything is added, as QLoRA's training saw it.
    """

    name: str
    base: Tensor
    dtype: str
    shape: tuple[int, ...]
    logical: tuple[int, ...]
    changes: tuple[Change, ...] = ()
    fill: int = 0
    magnitude: Tensor | None = None
    transposed: bool = False
    quantised: tuple[tuple[str, Tensor], ...] = ()
    round_trip: bool = False

    @classmethod
    def copy(cls, tensor: Tensor) -> Operation:
        return cls(tensor.name, tensor, tensor.dtype, tensor.shape, tensor.shape)

    @property
    def computes(self) -> bool:
        """Whether values change; otherwise bytes are moved."""
        return (
            bool(self.changes or self.magnitude or self.quantised or self.round_trip) or self.base.dtype != self.dtype
        )

    @property
    def whole(self) -> bool:
        """Whether it must be done at once: what is stored in 4 bit, or scaled along columns, has no rows of its own."""
        return bool(self.quantised or self.round_trip or (self.magnitude and self.transposed))

    @property
    def kind(self) -> str:
        """For tables."""
        padded = self.shape != self.logical
        what = "merge" if self.changes or self.magnitude else "dequantise" if self.quantised else ""
        if not what:
            what = "round" if self.round_trip else "" if padded else "copy"
        return " + ".join(part for part in (what, "pad" if padded else "") if part)

    def identity(self) -> dict[str, Any]:
        """All that the result depends on but the bytes themselves; for resuming."""
        return {
            "name": self.name, "base": _place(self.base), "dtype": self.dtype, "shape": self.shape, "fill": self.fill,
            "changes": [str(change) for change in self.changes], "magnitude": str(self.magnitude),
            "round_trip": self.round_trip,
        }  # fmt: skip


def _place(tensor: Tensor) -> str:
    return f"{tensor.file.name}:{tensor.begin}"
