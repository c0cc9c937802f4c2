"""A PEFT adapter as a list of linear changes to named tensors, read from its config and headers alone.

Names and scales follow PEFT 0.20 (peft/tuners/lora, peft/utils/save_and_load.py). What is not a linear change of a
weight is refused with the reason: a wise-ft weight would have no meaning there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from spine.checkpoint import Tensor, read_header, read_json
from spine.errors import RecipeError
from spine.paths import shown

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_PREFIX = "base_model.model."
_FACTORS = {".lora_A.weight": "A", ".lora_B.weight": "B", ".lora_embedding_A": "embedding_A",
            ".lora_embedding_B": "embedding_B", ".lora_B.bias": "bias",
            ".lora_magnitude_vector": "magnitude"}  # fmt: skip
# Settings that make an adapter more than a sum, and why they cannot be merged into the base's weights.
_NOT_LINEAR = {
    "layer_replication": "it runs layers of the base several times",
    "target_parameters": "it changes parameters that are no layers' weights (experts)",
    "trainable_token_indices": "it holds single rows of the embedding",
    "alora_invocation_tokens": "it acts only after its invocation tokens",
    "use_qalora": "its A sees averaged inputs",
    "use_bdlora": "its factors are block-diagonal",
    "arrow_config": "it chooses among adapters for every token",
    "monteclora_config": "its factors are drawn at random",
}
# Ways of starting that subtract something from the base: the factors belong to that changed base, not to this one.
_CHANGED_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")


Rank = Annotated[int, Field(ge=1, lt=2**31)]
Alpha = Annotated[float, Field(allow_inf_nan=False)]


class _Shape(BaseModel):
    """What a config says that factors are multiplied by."""

    r: Rank
    lora_alpha: Alpha
    rank_pattern: dict[str, Rank] | None = None
    alpha_pattern: dict[str, Alpha] | None = None


@dataclass(frozen=True)
class LoraModule:
    """The factors for one module. A: (rank, in), B: (out, rank), scale included in ``scale`` alone."""

    name: str
    a: Tensor
    b: Tensor
    scale: float
    embedding: bool = False
    bias: Tensor | None = None  # (out,)
    magnitude: Tensor | None = None  # (out,), DoRA

    @property
    def rank(self) -> int:
        return self.a.shape[0]


@dataclass(frozen=True)
class Adapter:
    """``full``: tensors trained in full, by the base's name for them."""

    folder: Path
    config: Mapping[str, Any]
    modules: tuple[LoraModule, ...]
    full: Mapping[str, Tensor]

    @property
    def fan_in_fan_out(self) -> bool:
        return bool(self.config.get("fan_in_fan_out"))

    @property
    def ranks(self) -> tuple[int, ...]:
        """All that there are, ascending."""
        return tuple(sorted({module.rank for module in self.modules}))

    @property
    def linear(self) -> bool:
        return all(module.magnitude is None for module in self.modules)


def open_adapter(folder: Path) -> Adapter:
    """Reads ``folder``'s config and header.

    Raises:
        RecipeError: no LoRA adapter, one that cannot be merged into weights, factors that do not fit each other.
    """
    config = read_json(folder / CONFIG)
    _refuse_what_is_not_linear(folder / CONFIG, config)
    if not (folder / WEIGHTS).exists() and (folder / "adapter_model.bin").exists():
        raise RecipeError(
            "is pickled, which is never loaded: a pickle can run any code",
            where=shown(folder / "adapter_model.bin"),
            way_out="save it anew with safe_serialization=True where you trust it",
        )
    factors: dict[str, dict[str, Tensor]] = {}
    full: dict[str, Tensor] = {}
    for tensor in read_header(folder / WEIGHTS):
        name = tensor.name.removeprefix(_PREFIX)
        if ".original_module." in name:
            continue  # the base's, which PEFT saves beside the trained one when tokens were added
        end = next((end for end in _FACTORS if name.endswith(end)), None)
        if end:
            factors.setdefault(name.removesuffix(end), {})[_FACTORS[end]] = tensor
        elif "lora_" in name:
            raise RecipeError(f"'{tensor.name}' is no factor that PEFT's LoRA knows", where=shown(folder / WEIGHTS))
        else:
            full[re.sub(r"\.(base_layer|modules_to_save(\.default)?)\.", ".", name)] = tensor
    if not factors and not full:
        raise RecipeError("holds no tensors", where=shown(folder / WEIGHTS))
    modules = tuple(_module(folder, config, name, parts) for name, parts in factors.items())
    return Adapter(folder, config, modules, full)


def _module(folder: Path, config: Mapping[str, Any], name: str, parts: Mapping[str, Tensor]) -> LoraModule:
    embedding = "embedding_A" in parts or "embedding_B" in parts
    a, b = (parts.get(f"embedding_{side}" if embedding else side) for side in "AB")
    where = shown(folder / WEIGHTS)
    if a is None or b is None:
        raise RecipeError(f"{name}: has {', '.join(sorted(parts))}, but both A and B are needed", where=where)
    if len(a.shape) != 2 or len(b.shape) != 2:
        raise RecipeError(
            f"{name}: A is {a.shape} and B {b.shape}; only linear and embedding layers merge", where=where
        )
    rank, alpha = _rank_and_alpha(config, name)
    if not a.shape[0] == b.shape[1] == rank:
        raise RecipeError(
            f"{name}: A is {a.shape} and B {b.shape}, but {CONFIG} says rank {rank}",
            where=where,
            way_out="config and weights are of different trainings; take both from one checkpoint",
        )
    scale = alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
    magnitude = parts.get("magnitude")
    if magnitude is not None and embedding:
        raise RecipeError(f"{name}: DoRA on an embedding cannot be merged here", where=where)
    return LoraModule(name, a, b, scale, embedding, parts.get("bias"), magnitude)


def _rank_and_alpha(config: Mapping[str, Any], name: str) -> tuple[int, float]:
    """PEFT's rule: the first pattern that matches the end of the module's name, else the adapter's own."""

    def of(patterns: Mapping[str, Any] | None, default: Any) -> Any:
        return next((value for key, value in (patterns or {}).items() if _matches(key, name)), default)

    return of(config.get("rank_pattern"), config["r"]), of(config.get("alpha_pattern"), config["lora_alpha"])


def _matches(pattern: str, name: str) -> bool:
    """By RE2, which takes time in proportion to the text: the pattern is somebody else's."""
    from pyarrow import ArrowInvalid, compute  # type: ignore[import-untyped]

    try:
        return bool(compute.match_substring_regex(name, rf"^(?:.*\.)?(?:{pattern})$").as_py())
    except ArrowInvalid as error:
        raise RecipeError(f"{CONFIG}: {str(error)[:200]}") from error


def _refuse_what_is_not_linear(path: Path, config: Mapping[str, Any]) -> None:
    where = shown(path)
    if config.get("peft_type") != "LORA":
        raise RecipeError(f"is a {config.get('peft_type')} adapter; only LoRA adds to the weights", where=where)
    try:
        _Shape.model_validate(config, strict=True)
    except ValidationError as error:
        said = "; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors()[:5])
        raise RecipeError(f"is broken: {said}", where=where) from error
    for key, why in _NOT_LINEAR.items():
        if config.get(key):
            raise RecipeError(f"{key}: {why}, which cannot be merged into the base's weights", where=where)
    start = str(config.get("init_lora_weights", True)).lower()
    if start.startswith(_CHANGED_BASE):
        raise RecipeError(
            f"init_lora_weights is {start}: the factors belong to a base that was changed at the start of training",
            where=where,
            way_out="save_pretrained(..., path_initial_model_for_weight_conversion=...) makes a plain LoRA of it",
        )
