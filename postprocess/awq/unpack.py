"""A model in 4 bit as one in fp32, for a CPU without AVX-512: vLLM's build multiplies 4 bit with nothing less."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postprocess.awq import gemm
from spine.checkpoint import SINGLE, Checkpoint, Tensor, copy_companions, open_checkpoint, write_safetensors
from spine.errors import RecipeError
from spine.paths import shown

_METHODS = ("awq", "gptq")
_PARTS = ("qweight", "qzeros", "scales", "g_idx")


def unpack_model(model: Path, folder: Path) -> None:
    """Writes ``model`` into the new ``folder``: quantised layers as fp32 weights (out, in), everything else as it is.

    A layer's weights are (q - zero) * scale exactly, so answers are those of the 4-bit model up to the order of sums.

    Raises:
        RecipeError: it is quantised in another way, or a layer's parts do not fit together.
    """
    checkpoint = open_checkpoint(model)
    method = checkpoint.config["quantization_config"].get("quant_method")
    if method not in _METHODS:
        raise RecipeError(
            f"this CPU has no AVX-512, without which only {' and '.join(_METHODS)} are unpacked, not {method}",
            where=shown(model), way_out="ask the model that it was made from, or use another machine",
        )  # fmt: skip
    folder.mkdir(parents=True)
    copy_companions(model, folder)
    config = {key: value for key, value in checkpoint.config.items() if key != "quantization_config"}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    _write(checkpoint, folder / SINGLE)


def _write(checkpoint: Checkpoint, path: Path) -> None:
    tensors = checkpoint.tensors
    layers = {name.removesuffix(".qweight") for name in tensors if name.endswith(".qweight")}
    packed = {f"{layer}.{part}" for layer in layers for part in _PARTS}
    kept = {name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items() if name not in packed}
    weights = {f"{layer}.weight": ("F32", _shape(tensors, layer)) for layer in sorted(layers)}
    unpacked = (_weight(tensors, name.removesuffix(".weight")).data for name in weights)
    # The widest type first: every tensor lies at a multiple of its own.
    content: Iterator[Any] = chain(unpacked, (chunk for name in kept for chunk in tensors[name].chunks()))
    write_safetensors(path, {**weights, **kept}, content)


def _shape(tensors: dict[str, Tensor], layer: str) -> tuple[int, int]:
    """(out, in) of the layer's weight, from its scales (groups, out) and its qweight in either layout."""
    out, stored = tensors[f"{layer}.scales"].shape[1], tensors[f"{layer}.qweight"].shape
    return out, stored[0] * (gemm.IN_ONE if f"{layer}.g_idx" in tensors else 1)


def _weight(tensors: dict[str, Tensor], layer: str) -> NDArray[np.float32]:
    parts: dict[str, Any] = {
        part: _array(tensors[f"{layer}.{part}"]) for part in _PARTS if f"{layer}.{part}" in tensors
    }
    decode = gemm.dequantise_gptq if "g_idx" in parts else gemm.dequantise
    try:
        return decode(**parts)
    except (ValueError, TypeError, IndexError) as error:
        where = tensors[f"{layer}.qweight"].file
        raise RecipeError(f"{layer} is broken: {error}", where=shown(where), way_out="make it anew") from error


def _array(tensor: Tensor) -> NDArray[np.generic]:
    if tensor.dtype == "BF16":  # unknown to numpy: the upper half of an fp32 number
        upper = np.frombuffer(tensor.content(), np.uint16).astype(np.uint32)
        return (upper << np.uint32(16)).view(np.float32).reshape(tensor.shape)
    kind = {"I32": np.int32, "F16": np.float16, "F32": np.float32}[tensor.dtype]
    return np.frombuffer(tensor.content(), kind).reshape(tensor.shape)
