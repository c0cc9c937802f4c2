"""The sums of a merge on a GPU: torch in place of numpy, tiles large enough to keep it busy. The train environment."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spine.errors import RecipeError

TYPES = {"float64": torch.float64, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Gpu:
    """See ``arithmetic.Device``; ``name`` is torch's."""

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
