"""MLPs made wider with zeros, so that tensor parallelism and quantisation groups divide them; dense or packed by AWQ.

A zero row of gate and up gives a zero activation, which a zero column of down multiplies: the model answers the same.
The winners padded Qwen2-72B's 29568 by 128: 29696 = 4 GPUs x 58 groups of 128 (their slides; shared facts in
docs/merging.md).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from postprocess.merge.operation import Operation
from spine.errors import RecipeError

# Architectures whose MLP is down(act(gate(x)) * up(x)) under these names.
ARCHITECTURES = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
_MLP = re.compile(r"\.mlp\.(gate|up|down)_proj\.(weight|bias|qweight|qzeros|scales)$")
MLP_MODULE = re.compile(r"\.mlp\.(gate|up|down)_proj$")
FILLED_WITH_ONE = "_proj.scales"  # what is new of these tensors is 1, of all others 0
_PER_INT32 = 8  # 4-bit numbers


@dataclass(frozen=True)
class Width:
    """A model's intermediate size before and after, and why it is that."""

    old: int
    new: int
    why: str


def padded_width(config: Mapping[str, Any], *, by: int | None = None, tp: int = 1, group: int = 128) -> Width:
    """How wide the MLPs become.

    Args:
        by: columns to add; without it as few as make every GPU's part a whole number of groups.
        tp: GPUs that share the model (tensor parallel).
        group: quantisation group along the input; each GPU's part of down_proj must hold whole groups.

    Raises:
        RecipeError: an architecture whose MLP is not known here; a width that packed 4-bit numbers do not divide.
    """
    old = intermediate_size(config)
    if by is None:
        step = tp * group
        new = math.ceil(old / step) * step
        why = f"{tp} x {new // step} groups of {group}" + ("" if new != old else " already: nothing to add")
    else:
        new, why = old + by, f"{by} more, as asked"
    packing = quantisation(config)
    if packing and (new - old) % math.lcm(packing, _PER_INT32):
        raise RecipeError(
            f"the model is quantised in groups of {packing}: {new - old} columns are not whole groups",
            way_out=f"pad by a multiple of {math.lcm(packing, _PER_INT32)}",
        )
    return Width(old, new, why)


def intermediate_size(config: Mapping[str, Any]) -> int:
    """The width of the MLPs of a model that can be padded.

    Raises:
        RecipeError: an unknown architecture.
    """
    found = config.get("architectures") or []
    if not found or any(name not in ARCHITECTURES for name in found) or "intermediate_size" not in config:
        raise RecipeError(
            f"the MLPs of {', '.join(found) or 'an unnamed architecture'} are not known here",
            way_out="known: " + ", ".join(ARCHITECTURES),
        )
    return int(config["intermediate_size"])


def quantisation(config: Mapping[str, Any]) -> int | None:
    """The group size of an AWQ checkpoint in GEMM layout; None for a dense model.

    Raises:
        RecipeError: quantised in another way.
    """
    stated = config.get("quantization_config")
    if not isinstance(stated, Mapping):
        return None
    layout = (
        stated.get("quant_method"),
        str(stated.get("version", stated.get("format", ""))).lower(),
        stated.get("bits"),
    )
    if layout != ("awq", "gemm", 4):
        raise RecipeError(
            f"is quantised as {layout[0]} {layout[1]} {layout[2]} bit; only 4-bit AWQ in GEMM layout is padded",
            way_out="pad the unquantised model, then quantise it",
        )
    return int(stated["group_size"])


def pad(
    files: Mapping[str, Iterable[Operation]], config: Mapping[str, Any], width: Width
) -> tuple[dict[str, tuple[Operation, ...]], dict[str, Any]]:
    """The same operations with wider results, and the config that says so.

    Raises:
        RecipeError: the model has no MLP of that width.
    """
    group = quantisation(config)
    made = {name: tuple(_padded(op, width, group) for op in operations) for name, operations in files.items()}
    if width.new != width.old and not any(op.shape != op.logical for operations in made.values() for op in operations):
        raise RecipeError(f"no MLP of width {width.old} among its tensors: nothing to pad")
    return made, {**config, "intermediate_size": width.new}


def _padded(operation: Operation, width: Width, group: int | None) -> Operation:
    found = _MLP.search(operation.name)
    if not found or (found[1] == "down" and found[2] == "bias"):
        return operation
    shape = list(operation.shape)
    # Dense weights are (out, in), packed ones (in, out): gate and up grow in `out`, down in `in`.
    packed = found[2] in ("qweight", "qzeros", "scales")
    axis = 1 if (found[1] == "down") != packed and len(shape) > 1 else 0
    per = _elements(found[1], found[2], group)
    if shape[axis] * per != width.old:
        raise RecipeError(f"{operation.name} is {tuple(shape)}: not the intermediate size {width.old} of config.json")
    shape[axis] = width.new // per
    return replace(operation, shape=tuple(shape), fill=int(operation.name.endswith(FILLED_WITH_ONE)))


def _elements(projection: str, part: str, group: int | None) -> int:
    """How many of the MLP's columns one step along the growing axis stands for.

    Packed: zero point and value 0 with scale 1 are exactly 0, whatever the layout's order within a number.
    """
    if projection == "down":
        return group or 1 if part in ("qzeros", "scales") else 1
    return _PER_INT32 if part in ("qweight", "qzeros") else 1
