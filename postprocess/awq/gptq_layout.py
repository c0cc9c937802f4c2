"""GPTQ's layout (the first one, which vLLM's kernels read): how a linear layer's 4-bit weights lie in tensors.

For a layer from ``in`` to ``out`` features in groups: qweight (in / 8, out) int32, qzeros (groups, out / 8) int32 that
hold each zero point less one, scales (groups, out) fp16, g_idx (in,) the group of each input feature. Source: gptqmodel
7.6.0, ``utils/model.py`` (``convert_gptq_v1_to_v2_format_module``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from postprocess.awq.gemm import BITS, IN_ONE, LEVELS


def dequantise(
    qweight: NDArray[np.int32],
    qzeros: NDArray[np.int32],
    scales: NDArray[np.floating],
    g_idx: NDArray[np.int32],
) -> NDArray[np.float32]:
    """The weight (out, in) in fp32, as ``torch.nn.Linear`` holds it."""
    values = _in_order(qweight.T)  # (out, in)
    zeros = (_in_order(qzeros) + 1) & LEVELS  # (groups, out)
    of_group = g_idx.astype(np.int64)
    weight = values.astype(np.float32) - zeros[of_group].T
    weight *= scales.astype(np.float32)[of_group].T
    return np.ascontiguousarray(weight)


def _in_order(packed: NDArray[np.int32]) -> NDArray[np.uint8]:
    """(rows, columns / 8) -> (rows, columns): bits 4i to 4i + 3 hold column i of the eight."""
    bits = np.ascontiguousarray(packed).view(np.uint32)
    values = np.empty((bits.shape[0], bits.shape[1] * IN_ONE), np.uint8)
    for column in range(IN_ONE):
        values[:, column::IN_ONE] = (bits >> np.uint32(BITS * column)) & np.uint32(LEVELS)
    return values
