"""A mixture as one adapter, exactly: ``[A1; A2]`` of rank r1 + r2 below ``[c1 B1, c2 B2]``, in fp32.

For what takes a single adapter: vLLM, and a second round's training, which goes on from it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spine.adapter import CONFIG, WEIGHTS, Adapter, LoraModule, open_adapter
from spine.atomic import whole_folder
from spine.checkpoint import Tensor, write_safetensors
from spine.code import code_of
from spine.errors import RecipeError
from spine.manifest import Step
from spine.mixture import Mixture
from spine.paths import shown

STEP = "one adapter"
_KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_NAMED = "base_model.model.{}.lora_{}.weight"


def rank_of(mixture: Mixture) -> int:
    """Of the one adapter: the sum of the parts' largest ranks."""
    return sum(max(open_adapter(Path(part.folder)).ranks) for part in mixture.parts)


def one_adapter_step(mixture: Mixture, folder: Path) -> Step:
    """The step that writes ``folder``."""
    return Step(folder, STEP, {"mixture": mixture.stamps(), "code": code_of(__name__)})


def write_one_adapter(mixture: Mixture, folder: Path, step: Step | None = None) -> None:
    """Writes ``folder``, whole or not at all; the scale is the first part's, the others' differ in their B.

    Args:
        step: whose result it is, if it is to stay.

    Raises:
        RecipeError: a part that is more than factors of linear layers (``refuse_more_than_factors``), or parts that are
            of different models.
    """
    adapters = [open_adapter(Path(part.folder)) for part in mixture.parts]
    for adapter in adapters:
        refuse_more_than_factors(adapter)
    ranks = [max(adapter.ranks) for adapter in adapters]
    modules = [{module.name: module for module in adapter.modules} for adapter in adapters]
    shapes = {name: _shape(name, adapters, modules) for name in dict.fromkeys(name for of in modules for name in of)}
    scale, rank, first = adapters[0].modules[0].scale, sum(ranks), adapters[0].config
    alpha = scale * (math.sqrt(rank) if first.get("use_rslora") else rank)
    config = {**first, "r": rank, "lora_alpha": int(alpha) if alpha == int(alpha) else alpha}
    config |= {"rank_pattern": {}, "alpha_pattern": {}, "inference_mode": True}
    if any(of.keys() != shapes.keys() for of in modules):
        config["target_modules"] = sorted(shapes)

    def content() -> Iterator[bytes]:
        for name, (rows, columns) in shapes.items():
            below, above = [], []
            for part, own, of in zip(mixture.parts, ranks, modules, strict=True):
                a, b = np.zeros((own, columns), np.float32), np.zeros((rows, own), np.float32)
                if module := of.get(name):
                    a[: module.rank] = _fp32(module.a)
                    b[:, : module.rank] = _fp32(module.b) * np.float32(part.share * (module.scale / scale))
                below.append(a)
                above.append(b)
            yield from (np.vstack(below).tobytes(), np.hstack(above).tobytes())

    tensors = {
        _NAMED.format(name, side): ("F32", shape)
        for name, (rows, columns) in shapes.items()
        for side, shape in (("A", (rank, columns)), ("B", (rows, rank)))
    }
    with whole_folder(folder) as grown:
        write_safetensors(grown / WEIGHTS, tensors, content())
        (grown / CONFIG).write_text(json.dumps(config, indent=2), encoding="utf-8")
        if step:
            step.finish([WEIGHTS, CONFIG], written_in=grown, formula=str(mixture))


def refuse_more_than_factors(adapter: Adapter) -> None:
    """A share has no meaning beside the weights for what is no product of two factors.

    Raises:
        RecipeError: DoRA, a tensor trained in full, factors of an embedding, or a bias of LoRA's own.
    """
    where = shown(adapter.folder)
    if not adapter.linear:
        raise RecipeError(
            "is a DoRA adapter, which scales W and B A together: it cannot be weighed, nor added to another",
            where=where,
            way_out="merge it whole, at weight 1, and go on with the merged folder",
        )
    odd = next((module for module in adapter.modules if module.embedding or module.bias), None)
    if odd or adapter.full:
        what = f"more than two factors for {odd.name}" if odd else f"'{next(iter(adapter.full))}', trained in full"
        raise RecipeError(
            f"holds {what}: that cannot be weighed beside the weights",
            where=where,
            way_out="merge it first (recipe merge), then go on with the merged folder",
        )


def _shape(name: str, adapters: Sequence[Adapter], modules: Sequence[Mapping[str, LoraModule]]) -> tuple[int, int]:
    """(out, in) of a module."""
    found = {adapter.folder: _outer(of[name]) for adapter, of in zip(adapters, modules, strict=True) if name in of}
    if len(set(found.values())) > 1:
        told = ", ".join(f"{shape} in {shown(folder)}" for folder, shape in found.items())
        raise RecipeError(f"{name} differs, these are adapters of different models: {told}")
    return next(iter(found.values()))


def _outer(module: LoraModule) -> tuple[int, int]:
    return module.b.shape[0], module.a.shape[1]


def _fp32(tensor: Tensor) -> NDArray[Any]:
    """numpy has no bf16, which is the upper half of an fp32."""
    found = np.frombuffer(tensor.content(), _KINDS[tensor.dtype]).reshape(tensor.shape)
    return (found.astype("<u4") << 16).view("<f4") if tensor.dtype == "BF16" else found.astype("<f4")
