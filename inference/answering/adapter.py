"""Adapters that are applied while answering, each with its share: ``W + sum of share * scale * B A``.

Checked against the base's headers before anything is loaded. Merged folders and quantised ones need none of this.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from spine.adapter import CONFIG, WEIGHTS, LoraModule, open_adapter
from spine.checkpoint import open_checkpoint, read_json
from spine.errors import RecipeError
from spine.mixture import Mixture
from spine.one_adapter import refuse_more_than_factors, write_one_adapter
from spine.paths import shown


def require_fitting(adapters: Mixture, model: Path) -> None:
    """
    Raises:
        RecipeError: a part is no LoRA adapter (``spine.adapter``), one for which a share has no meaning, or one for
            another base than the model of folder ``model``.
    """
    if not adapters.parts:
        return
    base = {name: tensor.shape for name, tensor in open_checkpoint(model).tensors.items()}
    for part in adapters.parts:
        lora = open_adapter(Path(part.folder))
        refuse_more_than_factors(lora)
        for module in lora.modules:
            _check_fits(module, base, lora.folder, model)


@contextmanager
def as_one(mixture: Mixture) -> Iterator[Path]:
    """A folder with the mixture as one adapter, for as long as the block lasts.

    A single adapter's weights are linked, not copied: its ``lora_alpha`` is multiplied by the share.
    """
    with TemporaryDirectory(prefix="recipe-adapter-") as name:
        folder = Path(name) / "one"
        if len(mixture.parts) > 1:
            write_one_adapter(mixture, folder)
        else:
            (part,) = mixture.parts
            config = read_json(Path(part.folder) / CONFIG)
            patterns = {module: alpha * part.share for module, alpha in (config.get("alpha_pattern") or {}).items()}
            config |= {"lora_alpha": config["lora_alpha"] * part.share, "alpha_pattern": patterns}
            folder.mkdir()
            (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")
            (folder / WEIGHTS).symlink_to((Path(part.folder) / WEIGHTS).resolve())
        yield folder


def _check_fits(module: LoraModule, base: Mapping[str, tuple[int, ...]], folder: Path, model: Path) -> None:
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
