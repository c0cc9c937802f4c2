"""What a merge needs torch for: its sums on a GPU, in tiles large enough to keep it busy, and what bitsandbytes stores
in 4 bit as numbers again, by its own functions. The train environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spine.errors import RecipeError

TYPES = {"float64": torch.float64, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Gpu:
    """See ``sums.Device``; ``name`` is torch's."""

    rows, columns = 4096, 8192

    def __init__(self, name: str = "cuda") -> None:
        if name == "cuda" and not torch.cuda.is_available():
            raise RecipeError("torch finds no usable GPU", way_out="CUDA_VISIBLE_DEVICES= has numpy make the sums")
        self._device = torch.device(name)

    def widen(self, array: NDArray[Any]) -> torch.Tensor:
        """On the device, in fp32."""
        return shared(np.ascontiguousarray(array)).to(self._device).to(torch.float32)

    def narrow(self, result: torch.Tensor, made: NDArray[Any]) -> None:
        """Rounded on the device: half the bytes come back."""
        shared(made).copy_(result.to(TYPES[made.dtype.name]))


def shared(array: NDArray[Any]) -> torch.Tensor:
    """The same memory as a tensor; torch knows numpy's types but not its bf16."""
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def dequantised(packed: NDArray[Any], parts: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """A stored tensor, rounded to the type it was quantised from, in fp32.

    Args:
        parts: the tensors beside it (absmax, quant_map, quant_state ...) by the ends of their names.
    """
    from bitsandbytes.functional import QuantState, dequantize_4bit

    state = QuantState.from_dict({end: torch.from_numpy(part) for end, part in parts.items()}, torch.device("cpu"))
    found: NDArray[Any] = dequantize_4bit(torch.from_numpy(packed), state).to(torch.float32).numpy()
    return found


def round_trip(weight: NDArray[Any]) -> NDArray[Any]:
    """What QLoRA's training saw: NF4 in blocks of 64, double quantisation, as transformers loads it; in fp32."""
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    stored, state = quantize_4bit(shared(np.ascontiguousarray(weight)), quant_type="nf4", compress_statistics=True)
    found: NDArray[Any] = dequantize_4bit(stored, state).to(torch.float32).numpy()
    return found
