"""What becomes of one tensor: a copy, a sum of changes, a wider shape. Plain data; ``sums`` carries it out.

A base's tensors are seen as arithmetic sees them: what is stored in 4 bit counts as one tensor of its shape.

Every change is linear in its weight ``a``, so several sources add up: ``W + a1 * D1 + a2 * D2``. DoRA is not, and
stands alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from spine.checkpoint import ITEM, Checkpoint, Tensor
from spine.errors import RecipeError
from spine.paths import shown

# Where bitsandbytes keeps what belongs to ``X.weight`` (bitsandbytes 0.50, QuantState.as_dict): ``X.weight.<end>``.
_STATE = ".quant_state.bitsandbytes__"
_PARTS = ("absmax", "quant_map", "nested_absmax", "nested_quant_map")
_TYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight")
HEAD = "lm_head.weight"
_NO_LINEAR = (*EMBEDDINGS, HEAD, "norm.weight", "wpe.weight")


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

    @property
    def nbytes(self) -> int:
        """Of the result."""
        return math.prod(self.shape) * ITEM[self.dtype]


@dataclass(frozen=True, slots=True)
class Unit:
    """A tensor with its shape and type in arithmetic; ``quantised``: further tensors that a 4-bit one needs."""

    name: str
    tensor: Tensor
    dtype: str
    shape: tuple[int, ...]
    quantised: tuple[tuple[str, Tensor], ...] = ()

    @property
    def is_linear(self) -> bool:
        """Whether QLoRA holds it in 4 bit: weights of linear layers, the head and embeddings excepted."""
        return len(self.shape) == 2 and self.name.endswith(".weight") and not self.name.endswith(_NO_LINEAR)


def units(checkpoint: Checkpoint) -> dict[str, Unit]:
    """By name.

    Raises:
        RecipeError: quantised in a way that cannot be undone here.
    """
    stated = checkpoint.config.get("quantization_config")
    if isinstance(stated, Mapping) and (
        stated.get("quant_method", "bitsandbytes") != "bitsandbytes" or stated.get("load_in_8bit")
    ):
        raise RecipeError(
            f"is quantised with {stated.get('quant_method')}; only 4-bit bitsandbytes is dequantised for a merge",
            where=shown(checkpoint.folder / "config.json"),
            way_out="merge into the unquantised model",
        )
    tensors = checkpoint.tensors
    states = {name.split(_STATE)[0]: tensor for name, tensor in tensors.items() if _STATE in name}
    parts = {f"{name}.{part}" for name in states for part in _PARTS} | {state.name for state in states.values()}
    return {
        name: _quantised(tensor, states[name], tensors)
        if name in states
        else Unit(name, tensor, tensor.dtype, tensor.shape)
        for name, tensor in tensors.items()
        if name not in parts
    }


def _quantised(tensor: Tensor, state: Tensor, tensors: Mapping[str, Tensor]) -> Unit:
    """The state is a small JSON text in a tensor of bytes: it says the shape and the type."""
    try:
        said = json.loads(state.content())
        dtype, shape = _TYPES[said["dtype"]], tuple(map(int, said["shape"]))
    except (ValueError, KeyError, TypeError) as error:
        raise RecipeError(f"{state.name} is unreadable: {error!r}", where=shown(state.file)) from error
    found = {part: tensors[f"{tensor.name}.{part}"] for part in _PARTS if f"{tensor.name}.{part}" in tensors}
    found[state.name.removeprefix(f"{tensor.name}.")] = state
    # bitsandbytes reads as many bytes as the state asks for, whether they are there or not.
    if math.prod(shape) > 2 * tensor.nbytes or not {"absmax", "quant_map"} <= found.keys():
        raise RecipeError(f"{tensor.name}: {tensor.shape} and its state do not make {shape}", where=shown(tensor.file))
    return Unit(tensor.name, tensor, dtype, shape, tuple(found.items()))


def tied_embedding(checkpoint: Checkpoint, known: Mapping[str, Unit]) -> str | None:
    """The embedding that the head shares. Where the config does not say (its default then differs between
    architectures), a language model without a head of its own shares it."""
    generates = any(
        name.endswith(("ForCausalLM", "LMHeadModel")) for name in checkpoint.config.get("architectures") or []
    )
    if not checkpoint.config.get("tie_word_embeddings", generates and HEAD not in known):
        return None
    return next((name for name in known if name.endswith(EMBEDDINGS)), None)
