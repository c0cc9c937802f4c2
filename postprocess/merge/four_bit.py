"""What bitsandbytes stores in 4 bit, as numbers again: its own functions, in the train environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from bitsandbytes.functional import QuantState, dequantize_4bit, quantize_4bit
from numpy.typing import NDArray

from postprocess.merge.gpu import shared


def dequantised(packed: NDArray[Any], parts: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """A stored tensor, rounded to the type it was quantised from, in fp32.

    Args:
        parts: the tensors beside it (absmax, quant_map, quant_state ...) by the ends of their names.
    """
    state = QuantState.from_dict({end: torch.from_numpy(part) for end, part in parts.items()}, torch.device("cpu"))
    found: NDArray[Any] = dequantize_4bit(torch.from_numpy(packed), state).to(torch.float32).numpy()
    return found


def round_trip(weight: NDArray[Any]) -> NDArray[Any]:
    """What QLoRA's training saw: NF4 in blocks of 64, double quantisation, as transformers loads it; in fp32."""
    stored, state = quantize_4bit(shared(np.ascontiguousarray(weight)), quant_type="nf4", compress_statistics=True)
    found: NDArray[Any] = dequantize_4bit(stored, state).to(torch.float32).numpy()
    return found
