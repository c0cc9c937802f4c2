"""The proof that padding changes nothing for whom it matters: both models' logits. The train environment."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from postprocess.merge.pad import MLP_MODULE, intermediate_size
from spine.checkpoint import read_json

_TOKENS = 64


def compare(padded: Path, plain: Path) -> dict[str, Any]:
    """Logits of both models in fp32 for the same tokens: the largest difference, and whether all bits are equal.

    A matrix product adds in an order that depends on the matrix's size, so the MLPs are multiplied in parts that both
    widths divide: the same sums in the same order, and the padding adds exact zeros.
    """
    widths = [intermediate_size(read_json(folder / "config.json")) for folder in (plain, padded)]
    tokens, found = None, []
    for folder in (plain, padded):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        for name, module in model.named_modules():
            if MLP_MODULE.search(name):
                module.forward = functools.partial(
                    _in_parts, module, math.gcd(*widths), along_input=name.endswith("down_proj")
                )
        if tokens is None:
            tokens = torch.randint(model.config.vocab_size, (1, _TOKENS), generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            found.append(model(tokens).logits)
        del model
    return {"largest": float((found[0] - found[1]).abs().max()), "bitwise": torch.equal(*found)}


def _in_parts(linear: torch.nn.Linear, step: int, x: torch.Tensor, *, along_input: bool) -> torch.Tensor:
    """x: (..., in) -> (..., out), the weight taken ``step`` columns (or rows) at a time."""
    if not along_input:
        parts = [x @ rows.T for rows in linear.weight.split(step)]
        out = torch.cat(parts, dim=-1)
    else:
        products = (
            part @ weight.T for part, weight in zip(x.split(step, -1), linear.weight.split(step, 1), strict=True)
        )
        out = functools.reduce(torch.add, products)
    return out if linear.bias is None else out + linear.bias
