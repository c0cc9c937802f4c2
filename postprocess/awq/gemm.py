"""How a linear layer's 4-bit weights, zero points and scales lie in tensors: AutoAWQ's GEMM layout, and GPTQ's.

For a layer from ``in`` to ``out`` features in groups of ``g``: qweight (in, out / 8) int32, qzeros (in / g, out / 8)
int32, scales (in / g, out) fp16 (gptqmodel: of the model's own type); a weight is (q - zero) * scale. Source: AutoAWQ
0.2.9, ``awq/modules/linear/gemm.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BITS = 4
LEVELS = 2**BITS - 1
# Bits 4i to 4i + 3 of an int32 hold column ORDER[i] of its eight: what AutoAWQ's CUDA kernel unpacks fastest.
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
IN_ONE = len(ORDER)
_IN_ORDER = tuple(range(IN_ONE))  # GPTQ's


def pack(values: NDArray[np.uint8]) -> NDArray[np.int32]:
    """(rows, columns) of numbers 0 to 15 -> (rows, columns / 8).

    Raises:
        ValueError: the columns are no multiple of 8, or a number takes more than 4 bits.
    """
    rows, columns = values.shape
    if columns % IN_ONE:
        raise ValueError(f"{columns} columns do not fill int32 numbers of {IN_ONE}")
    if values.size and values.max() > LEVELS:
        raise ValueError(f"{values.max()} does not fit into {BITS} bits")
    packed = np.zeros((rows, columns // IN_ONE), np.uint32)
    for place, column in enumerate(ORDER):
        packed |= values[:, column::IN_ONE].astype(np.uint32) << np.uint32(BITS * place)
    return packed.view(np.int32)


def unpack(packed: NDArray[np.int32], order: Sequence[int] = ORDER) -> NDArray[np.uint8]:
    """(rows, columns / 8) -> (rows, columns) of numbers 0 to 15; ``order``: which column lies where in a number."""
    rows, columns = packed.shape
    bits = np.ascontiguousarray(packed).view(np.uint32)
    values = np.empty((rows, columns * IN_ONE), np.uint8)
    for place, column in enumerate(order):
        values[:, column::IN_ONE] = (bits >> np.uint32(BITS * place)) & np.uint32(LEVELS)
    return values


def dequantise(
    qweight: NDArray[np.int32], qzeros: NDArray[np.int32], scales: NDArray[np.floating]
) -> NDArray[np.float32]:
    """The weight (out, in) in fp32, as ``torch.nn.Linear`` holds it.

    Raises:
        ValueError: the three do not belong to one layer.
    """
    values, zeros = unpack(qweight), unpack(qzeros)
    if zeros.shape != scales.shape or values.shape[1] != zeros.shape[1] or values.shape[0] % zeros.shape[0]:
        raise ValueError(f"qweight {qweight.shape}, qzeros {qzeros.shape}, scales {scales.shape} do not fit together")
    groups, out = zeros.shape
    grouped = values.reshape(groups, -1, out).astype(np.float32)  # (groups, g, out)
    grouped -= zeros[:, None, :]
    grouped *= scales[:, None, :].astype(np.float32)
    return np.ascontiguousarray(grouped.reshape(-1, out).T)


def dequantise_gptq(
    qweight: NDArray[np.int32],
    qzeros: NDArray[np.int32],
    scales: NDArray[np.floating],
    g_idx: NDArray[np.int32],
) -> NDArray[np.float32]:
    """The weight (out, in) in fp32 of a layer in GPTQ's first layout, which vLLM's kernels read.

    qweight (in / 8, out) int32, qzeros (groups, out / 8) int32 that hold each zero point less one, scales (groups, out)
    fp16, g_idx (in,) the group of each input feature. Source: gptqmodel 7.6.0, ``utils/model.py``
    (``convert_gptq_v1_to_v2_format_module``).
    """
    values = unpack(qweight.T, _IN_ORDER)  # (out, in)
    zeros = (unpack(qzeros, _IN_ORDER) + 1) & LEVELS  # (groups, out)
    of_group = g_idx.astype(np.int64)
    weight = values.astype(np.float32) - zeros[of_group].T
    weight *= scales.astype(np.float32)[of_group].T
    return np.ascontiguousarray(weight)
