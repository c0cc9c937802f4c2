"""Proofs about a finished model: its bytes are those that were written, and padding changed nothing.

``python -m postprocess.verify`` (see ``spine.child_job``) with ``model``, and for a padded one ``against``, the model
before padding, and ``forward``: whether both models' logits are compared too, which loads them and needs torch.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from postprocess.merge.pad import FILLED_WITH_ONE, MLP_MODULE, intermediate_size
from postprocess.merge.sums import Files, by_rows
from spine import pieces
from spine.checkpoint import Checkpoint, Tensor, open_checkpoint, read_json
from spine.child_job import OnProgress, serve

if TYPE_CHECKING:
    import torch

_BYTES = 32 * 2**20
_TOKENS = 64


def checksums(folder: Path, on_progress: OnProgress) -> list[str]:
    """What differs from the checksums that the merge wrote; each as ``file, bytes from-to``."""
    found = pieces.broken(folder, lambda done, total: on_progress("checksums", done // 10**6, total // 10**6))
    return [f"{file}, bytes {begin:,} to {begin + size:,}" for file, begin, size in found]


def padding(padded: Checkpoint, plain: Checkpoint, on_progress: OnProgress) -> dict[str, Any]:
    """Compares bit by bit: what both have, and what only the padded model has.

    Returns:
        tensors, padded: counts; wrong: names of tensors whose real values differ or whose new ones are not exactly
        zero (for a packed model: value and zero point 0 and scale 1, which is the same).
    """
    files, wrong, wider = Files(), list[str](), 0
    tensors = padded.tensors
    wrong += [f"{name}: only one of both has it" for name in sorted(tensors.keys() ^ plain.tensors.keys())]
    both = [(tensors[name], old) for name, old in plain.tensors.items() if name in tensors]
    try:
        total, done = sum(new.nbytes for new, _ in both), 0
        for new, old in both:
            wider += new.shape != old.shape
            if not all(_same(files, new, old, start, stop) for start, stop in _ranges(new)):
                wrong.append(new.name)
            done += new.nbytes
            on_progress("padding", done // 10**6, total // 10**6)
    finally:
        files.close()
    return {"tensors": len(both), "padded": wider, "wrong": wrong}


def _ranges(tensor: Tensor) -> Iterator[tuple[int, int]]:
    rows, columns = by_rows(tensor.shape)
    step = max(1, _BYTES // (4 * max(1, columns)))
    return ((start, min(rows, start + step)) for start in range(0, rows, step))


def _same(files: Files, new: Tensor, old: Tensor, start: int, stop: int) -> bool:
    (rows, columns), (_, width) = by_rows(old.shape), by_rows(new.shape)
    if new.dtype != old.dtype or rows > by_rows(new.shape)[0] or columns > width:
        return False
    wide = files.read(new, start, stop).reshape(stop - start, width)
    last = min(stop, rows)
    fill = 1 if new.name.endswith(FILLED_WITH_ONE) else 0
    if start >= rows:
        return bool((wide == fill).all())
    real = files.read(old, start, last).reshape(last - start, columns)
    bits = np.dtype(f"u{real.itemsize}")  # NaN equals itself then
    same = np.array_equal(wide[: last - start, :columns].view(bits), real.view(bits))
    return same and bool((wide[last - start :] == fill).all()) and bool((wide[: last - start, columns:] == fill).all())


def forward(padded: Path, plain: Path) -> dict[str, Any]:
    """Logits of both models in fp32 for the same tokens: the largest difference, and whether all bits are equal.

    A matrix product adds in an order that depends on the matrix's size, so the MLPs are multiplied in parts that both
    widths divide: the same sums in the same order, and the padding adds exact zeros.
    """
    import torch
    from transformers import AutoModelForCausalLM

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
    import torch

    if not along_input:
        parts = [x @ rows.T for rows in linear.weight.split(step)]
        out = torch.cat(parts, dim=-1)
    else:
        products = (
            part @ weight.T for part, weight in zip(x.split(step, -1), linear.weight.split(step, 1), strict=True)
        )
        out = functools.reduce(torch.add, products)
    return out if linear.bias is None else out + linear.bias


def _work(asked: Mapping[str, Any], on_progress: OnProgress) -> dict[str, Any]:
    folder = Path(asked["model"])
    result: dict[str, Any] = {}
    if (folder / pieces.SUMS).exists():
        result["damaged"] = checksums(folder, on_progress)
    if asked["against"]:
        plain = Path(asked["against"])
        result["padding"] = padding(open_checkpoint(folder), open_checkpoint(plain), on_progress)
        if asked["forward"]:
            result["forward"] = forward(folder, plain)
    return result


if __name__ == "__main__":
    serve(_work)
