"""What a folder or a file is, told from its headers and configs: adapter, model, quantised model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spine import manifest
from spine.adapter import CONFIG, WEIGHTS, open_adapter
from spine.checkpoint import Checkpoint, Tensor, metadata, open_checkpoint, read_header, read_json
from spine.errors import RecipeError
from spine.paths import shown

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
_GATE = re.compile(r"\.0\.mlp\.gate_proj\.(weight|qweight)$")


@dataclass(frozen=True)
class Found:
    """``groups``: tensors alike but for the layer's number, as name, count, type, shape."""

    kind: str
    facts: Mapping[str, str]
    groups: Sequence[tuple[str, int, str, str]]


def inspect(path: Path) -> Found:
    """Looks at headers alone.

    Raises:
        RecipeError: nothing known, or broken.
    """
    if path.is_file():
        tensors = read_header(path)
        facts = _amounts(tensors) | {f"says {key}": value for key, value in sorted(metadata(path).items())}
        return Found("safetensors file", facts, _groups(tensors))
    if (path / CONFIG).exists():
        return _adapter(path)
    if (path / "config.json").exists():
        return _model(open_checkpoint(path))
    raise RecipeError(f"neither a safetensors file nor a folder with {CONFIG} or config.json", where=shown(path))


def _adapter(folder: Path) -> Found:
    tensors = read_header(folder / WEIGHTS)
    try:
        adapter = open_adapter(folder)
    except RecipeError as error:  # it can be looked at all the same
        config = read_json(folder / CONFIG)
        facts = {"base": str(config.get("base_model_name_or_path")), "merges": f"no: {error.what}"}
        return Found(f"adapter ({config.get('peft_type')})", facts | _amounts(tensors), _groups(tensors))
    scales = sorted({round(module.scale, 6) for module in adapter.modules})
    kinds = Counter(module.name.rsplit(".", 1)[-1] for module in adapter.modules)
    facts = {
        "base": str(adapter.config.get("base_model_name_or_path")),
        "rank": ", ".join(map(str, adapter.ranks)) or "-",
        "scale": ", ".join(f"{scale:g}" for scale in scales)
        + (" (rsLoRA)" if adapter.config.get("use_rslora") else ""),
        "modules": ", ".join(f"{count} {name}" for name, count in sorted(kinds.items())),
        "trained in full": ", ".join(adapter.full) or "nothing",
        "wise-ft weight": "any" if adapter.linear else "1 only: DoRA is no sum",
    }
    return Found("adapter (LoRA)" if adapter.linear else "adapter (DoRA)", facts | _amounts(tensors), _groups(tensors))


def _model(model: Checkpoint) -> Found:
    config, tensors = model.config, list(model.tensors.values())
    quantised = config.get("quantization_config")
    kind = "model"
    facts = {"architecture": ", ".join(config.get("architectures") or ["not named"])}
    if isinstance(quantised, Mapping):
        kind = f"quantised model ({quantised.get('quant_method')})"
        told = ("bits", "group_size", "version", "format", "zero_point", "bnb_4bit_quant_type")
        facts["quantisation"] = ", ".join(f"{key} {quantised[key]}" for key in told if key in quantised)
    facts["sizes"] = ", ".join(
        f"{name.replace('num_', '').replace('_', ' ')} {config[name]:,}"
        for name in ("hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size")
        if isinstance(config.get(name), int)
    )
    facts["head"] = "tied to the embedding" if config.get("tie_word_embeddings") else "its own"
    facts["files"] = f"{len(model.files)}"
    if padding := _padding(model):
        facts["padding"] = padding
    if known := manifest.read(model.folder):
        facts["made by"] = f"recipe {known.get('step')}, {known.get('finished')}, commit {known.get('git_commit')}"
        facts["key"] = str(known.get("key"))[:16]
    return Found(kind, facts | _amounts(tensors), _groups(tensors))


def _padding(model: Checkpoint) -> str | None:
    """Rows or columns of zeros at the end of the first layer's gate: what padding leaves."""
    gate = next((tensor for name, tensor in model.tensors.items() if _GATE.search(name)), None)
    if gate is None or len(gate.shape) != 2:
        return None
    packed = gate.name.endswith("qweight")
    zeros = _zero_columns(gate) * 8 if packed else _zero_rows(gate)
    width = gate.shape[1] * 8 if packed else gate.shape[0]
    return f"{zeros} of {width:,} (the MLPs are {width - zeros:,} wide without)" if zeros else None


def _zero_rows(tensor: Tensor) -> int:
    rows = tensor.shape[0]
    row = tensor.nbytes // max(1, rows)
    with tensor.file.open("rb") as handle:
        for count in range(rows):
            handle.seek(tensor.begin + (rows - count - 1) * row)
            if any(handle.read(row)):
                return count
    return rows


def _zero_columns(tensor: Tensor) -> int:
    """Of 32-bit numbers, in the first rows: of a packed tensor."""
    import numpy as np

    columns = tensor.shape[1]
    values = np.frombuffer(next(tensor.chunks(), b""), dtype="<i4")
    values = values[: len(values) // columns * columns].reshape(-1, columns)
    used = np.flatnonzero(values.any(axis=0))
    return int(values.shape[1] - 1 - used[-1]) if len(used) else 0


def _amounts(tensors: Iterable[Tensor]) -> dict[str, str]:
    listed = list(tensors)
    types = Counter[str]()
    for tensor in listed:
        types[tensor.dtype] += tensor.nbytes
    total = sum(types.values())
    shares = ", ".join(f"{name} {size / max(1, total):.1%}" for name, size in types.most_common())
    return {"tensors": f"{len(listed):,}", "bytes": f"{total:,} ({total / 1e9:.2f} GB): {shares}"}


def _groups(tensors: Iterable[Tensor]) -> list[tuple[str, int, str, str]]:
    found = Counter((_NUMBER.sub("*", t.name), t.dtype, " x ".join(map(str, t.shape)) or "scalar") for t in tensors)
    return [(name, count, dtype, shape) for (name, dtype, shape), count in found.items()]
