"""A LoRA adapter that is applied while answering, with a wise-ft weight: W_base + alpha * scale * B A.

Checked against the base's headers before anything is loaded. Merged folders and quantised ones need none of this.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from recipe.checkpoint import open_checkpoint, read_header, read_json
from recipe.errors import RecipeError
from recipe.paths import shown

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
Shapes = Mapping[str, tuple[int, ...]]
_FACTORS = (".lora_A.weight", ".lora_B.weight", ".lora_embedding_A", ".lora_embedding_B")


@dataclass(frozen=True)
class Adapter:
    """``alpha``: the wise-ft weight, 0 is the base model. ``rank``: the largest one."""

    folder: Path
    alpha: float
    rank: int
    config: Mapping[str, Any]


def open_adapter(folder: Path, model: Path, alpha: float = 1.0) -> Adapter:
    """The adapter of ``folder`` for the model of folder ``model``.

    Raises:
        RecipeError: no LoRA adapter, one for which a weight has no meaning, or one for another base.
    """
    config = read_json(folder / CONFIG)
    tensors = {tensor.name: tensor.shape for tensor in read_header(folder / WEIGHTS)}
    if config.get("peft_type") != "LORA" or config.get("use_dora"):
        kind = "DoRA" if config.get("use_dora") else config.get("peft_type")
        raise RecipeError(
            f"is a {kind} adapter; a wise-ft weight has a meaning for LoRA only",
            where=shown(folder / CONFIG),
            way_out="merge it whole, then score the merged folder",
        )
    base = {name: tensor.shape for name, tensor in open_checkpoint(model).tensors.items()}
    _check_fits(tensors, base, folder, model)
    ranks = [shape[0] for name, shape in tensors.items() if name.endswith(_FACTORS[0])]
    return Adapter(folder, alpha, max(ranks, default=int(config["r"])), config)


@contextmanager
def scaled(adapter: Adapter) -> Iterator[Path]:
    """A folder with the adapter's weights (a link, no copy) and its ``lora_alpha`` times the wise-ft weight."""
    with TemporaryDirectory(prefix="recipe-adapter-") as name:
        folder = Path(name)
        alphas = adapter.config.get("alpha_pattern") or {}
        config = {
            **adapter.config,
            "lora_alpha": adapter.config["lora_alpha"] * adapter.alpha,
            "alpha_pattern": {module: alpha * adapter.alpha for module, alpha in alphas.items()},
        }
        (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")
        (folder / WEIGHTS).symlink_to((adapter.folder / WEIGHTS).resolve())
        yield folder


def _check_fits(
    tensors: Mapping[str, tuple[int, ...]], base: Mapping[str, tuple[int, ...]], folder: Path, model: Path
) -> None:
    for name, shape in tensors.items():
        end = next((end for end in _FACTORS if name.endswith(end)), None)
        if end is None:
            raise RecipeError(
                f"holds '{name}', trained in full: that cannot be weighed while answering",
                where=shown(folder / WEIGHTS),
                way_out="merge it first (recipe merge), then score the merged folder",
            )
        weight = name.removeprefix(_PREFIX).removesuffix(end) + ".weight"
        # A quantised base names its tensors otherwise (qweight); then only loading can tell.
        known = base.get(weight)
        quantised = weight.removesuffix(".weight") + ".qweight" in base
        side = 1 if end.endswith("A.weight") else 0
        if (known is None and not quantised) or (known is not None and known[side] != shape[side]):
            found = "no such layer" if known is None else f"{known} there, {shape} here"
            raise RecipeError(
                f"does not fit the base {shown(model)}: {weight}: {found}",
                where=shown(folder),
                way_out="give the model that it was trained on (base_model_name_or_path in adapter_config.json)",
            )
