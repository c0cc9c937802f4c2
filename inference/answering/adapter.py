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

from spine import adapter as peft
from spine.adapter import CONFIG, WEIGHTS, LoraModule
from spine.checkpoint import open_checkpoint
from spine.errors import RecipeError
from spine.paths import shown

_MERGE_FIRST = "merge it first (recipe merge), then score the merged folder"


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
        RecipeError: no LoRA adapter (``spine.adapter``), one for which a weight has no meaning, or one for another
            base.
    """
    lora = peft.open_adapter(folder)
    if not lora.linear:
        raise RecipeError(
            "is a DoRA adapter; a wise-ft weight has a meaning for LoRA only",
            where=shown(folder / CONFIG),
            way_out="merge it whole, then score the merged folder",
        )
    if lora.full:
        raise RecipeError(
            f"holds '{next(iter(lora.full))}', trained in full: that cannot be weighed while answering",
            where=shown(folder / WEIGHTS),
            way_out=_MERGE_FIRST,
        )
    base = {name: tensor.shape for name, tensor in open_checkpoint(model).tensors.items()}
    for module in lora.modules:
        _check_fits(module, base, folder, model)
    return Adapter(folder, alpha, max(lora.ranks), lora.config)


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


def _check_fits(module: LoraModule, base: Mapping[str, tuple[int, ...]], folder: Path, model: Path) -> None:
    if module.embedding or module.bias:
        what = "an embedding's factors" if module.embedding else "a bias of its own"
        raise RecipeError(
            f"{module.name} has {what}: that cannot be weighed while answering",
            where=shown(folder / WEIGHTS),
            way_out=_MERGE_FIRST,
        )
    weight, shape = f"{module.name}.weight", (module.b.shape[0], module.a.shape[1])
    known = base.get(weight)
    # A quantised base names its tensors otherwise (qweight); then only loading can tell.
    if known is None and f"{module.name}.qweight" in base:
        return
    if known != shape:
        why = "no such layer" if known is None else f"{known} there, {shape} here"
        raise RecipeError(
            f"does not fit the base {shown(model)}: {weight}: {why}",
            where=shown(folder),
            way_out=f"give the model that it was trained on (base_model_name_or_path in {CONFIG})",
        )
