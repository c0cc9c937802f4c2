"""The shape of a Llama or Qwen2 model, from the keys of config.json; its parameters, counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spine.checkpoint import read_json
from spine.errors import RecipeError
from spine.models import is_local, model_files
from spine.paths import CONFIGS
from spine.yamlfile import read_yaml

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")  # whose layers are these seven linear ones and two norms


@dataclass(frozen=True)
class Architecture:
    """Sizes in features. ``kv``: of all key heads together, as many as of all value heads."""

    hidden: int
    inner: int
    layers: int
    heads: int
    q: int
    kv: int
    vocabulary: int
    tied: bool
    attention_bias: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Architecture:
        """From config.json.

        Raises:
            RecipeError: a key is missing.
        """
        try:
            hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
            head = int(config.get("head_dim") or hidden // heads)
            return cls(
                hidden=hidden,
                inner=int(config["intermediate_size"]),
                layers=int(config["num_hidden_layers"]),
                heads=heads,
                q=heads * head,
                kv=int(config.get("num_key_value_heads") or heads) * head,
                vocabulary=int(config["vocab_size"]),
                tied=bool(config.get("tie_word_embeddings", False)),
                attention_bias=bool(config.get("attention_bias", config.get("model_type") == "qwen2")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RecipeError(f"the model's config.json is no such: {error!r}") from error

    @property
    def linear(self) -> int:
        """Parameters of q, k, v, o, gate, up and down, in all layers: what QLoRA keeps in 4 bit."""
        return self.layers * self.hidden * (2 * self.q + 2 * self.kv + 3 * self.inner)

    @property
    def table(self) -> int:
        """Parameters of one embedding, or of the head."""
        return self.vocabulary * self.hidden

    @property
    def others(self) -> int:
        """Embeddings (twice, unless tied), norms and biases: what stays in bf16."""
        biases = self.q + 2 * self.kv if self.attention_bias else 0
        return self.table * (1 if self.tied else 2) + self.hidden + self.layers * (2 * self.hidden + biases)

    @property
    def parameters(self) -> int:
        return self.linear + self.others

    def lora(self, rank: int) -> int:
        """Of a LoRA on all seven linear layers: a pair on a layer from n to m features has ``rank * (n + m)``."""
        h, f = self.hidden, self.inner
        return rank * self.layers * (2 * (h + self.q) + 2 * (h + self.kv) + 3 * (h + f))


def model_config(base_model: str, file: Path | None = None) -> dict[str, Any]:
    """``config.json`` of a model: a given file, a folder on this disk, the shapes known here, or the hub's.

    Raises:
        RecipeError: none of these has it.
    """
    if file:
        return read_json(file)
    if is_local(base_model):
        return read_json(model_files(base_model, ["config.json"])["config.json"])
    known = read_yaml(CONFIGS / "known" / "models.yaml").data
    if base_model in known:
        return dict(known[base_model])
    try:
        return read_json(model_files(base_model, ["config.json"])["config.json"])
    except RecipeError as error:
        way_out = f"--model-config /path/to/its/config.json; known without it: {', '.join(known)}"
        raise RecipeError(error.what, where=base_model, way_out=way_out) from error
