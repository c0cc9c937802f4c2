"""A model's first layers, or an adapter's for them, as a model or adapter of its own: real widths, little to compute.

`recipe smoke` tries merging, quantising and answering on such a slice. Read from the headers; bytes are copied.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from spine.adapter import CONFIG, WEIGHTS
from spine.atomic import require_free, whole_folder
from spine.checkpoint import (
    SINGLE,
    Tensor,
    copy_companions,
    open_checkpoint,
    read_header,
    read_json,
    write_safetensors,
)

_LAYER = re.compile(r"\.layers\.(\d+)\.")


def slice_model(model: Path, out: Path, layers: int) -> int:
    """Writes the first ``layers`` of ``model``, with its embeddings, head and tokenizer; returns the weights' bytes.

    Raises:
        RecipeError: ``model`` is no whole model, or the disk has no room.
    """
    found = open_checkpoint(model)
    kept = _first(found.tensors.values(), layers)
    size = sum(tensor.nbytes for tensor in kept)
    require_free(out.parent, size, "the slice")
    config = {**found.config, "num_hidden_layers": min(layers, found.config["num_hidden_layers"])}
    if "layer_types" in config:
        config["layer_types"] = config["layer_types"][:layers]
    with whole_folder(out) as folder:
        copy_companions(model, folder)
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        _write(folder / SINGLE, kept)
    return size


def slice_adapter(adapter: Path, out: Path, layers: int) -> None:
    """Writes what ``adapter`` changes in the first ``layers``.

    Raises:
        RecipeError: it is no adapter.
    """
    kept = _first(read_header(adapter / WEIGHTS), layers)
    config = read_json(adapter / CONFIG)
    with whole_folder(out) as folder:
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        _write(folder / WEIGHTS, kept)


def _first(tensors: Iterable[Tensor], layers: int) -> list[Tensor]:
    """Those of no layer, and of the first ones."""
    return [t for t in tensors if (layer := _LAYER.search(t.name)) is None or int(layer[1]) < layers]


def _write(path: Path, tensors: list[Tensor]) -> None:
    content = (chunk for tensor in tensors for chunk in tensor.chunks())
    write_safetensors(path, {tensor.name: (tensor.dtype, tensor.shape) for tensor in tensors}, content)
