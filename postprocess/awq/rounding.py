"""Plain rounding to 4 bits (RTN): what a quantisation with calibration must beat, on the same texts."""

from __future__ import annotations

import torch

from postprocess.awq.gemm import LEVELS


def rounded(weight: torch.Tensor, group: int) -> torch.Tensor:
    """The weight (out, in) in fp32 after asymmetric rounding in groups of ``group`` input features.

    The same form as AWQ's: 4 bits, an integer zero point, an fp16 scale; neither scaling nor clipping.
    """
    out, features = weight.shape
    grouped = weight.float().reshape(out, features // group, group)
    # The range includes 0, so that the zero point lies within it.
    low = grouped.amin(-1, keepdim=True).clamp(max=0)
    high = grouped.amax(-1, keepdim=True).clamp(min=0)
    scale = ((high - low) / LEVELS).clamp(min=1e-5).half().float()
    zero = (-low / scale).round().clamp(0, LEVELS)
    levels = (grouped / scale).round().add_(zero).clamp_(0, LEVELS)
    return levels.sub_(zero).mul_(scale).reshape(out, features)
