"""A causal language model run one decoder layer at a time, with weights from wherever: never a whole model in memory.

Runs in the quantize environments. Several versions of a model (as it is, rounded, quantised) pass through the same
code on the same texts, so that what differs between their outputs is the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch.func import functional_call
from transformers import AutoConfig, AutoModelForCausalLM

from spine.checkpoint import open_checkpoint
from spine.errors import RecipeError
from spine.paths import shown

Tensors = Mapping[str, torch.Tensor]
EMBEDDING, NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"


class Weights:
    """The tensors of a model folder, read when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._placed = {name: tensor.file for name, tensor in open_checkpoint(folder).tensors.items()}
        self._open: dict[Path, Any] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._placed

    def names(self, prefix: str) -> list[str]:
        """Those that begin with ``prefix``, without it."""
        return [name.removeprefix(prefix) for name in self._placed if name.startswith(prefix)]

    def read(self, name: str) -> torch.Tensor:
        """One tensor, as it is stored.

        Raises:
            RecipeError: there is none of this name.
        """
        if name not in self._placed:
            raise RecipeError(f"the model has no tensor {name}", where=shown(self.folder))
        file = self._placed[name]
        if file not in self._open:
            self._open = {file: safe_open(file, "pt")}  # one at a time: what is mapped counts as memory
        tensor: torch.Tensor = self._open[file].get_tensor(name)
        return tensor


class Layerwise:
    """The architecture of a model folder without its weights; all arithmetic is fp32."""

    def __init__(self, folder: Path, device: str) -> None:
        self.device = torch.device(device)
        self.config = AutoConfig.from_pretrained(folder)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(self.config, attn_implementation="sdpa")
        self.model = model.eval()
        # Its frequencies are computed, not loaded, so it must be made where it is used.
        self.rotary = type(model.model.rotary_emb)(config=self.config).to(self.device)
        self.layers: int = self.config.num_hidden_layers

    def embed(self, embedding: torch.Tensor, tokens: Sequence[int]) -> torch.Tensor:
        """(text,) token numbers -> (1, text, hidden)."""
        return embedding[torch.tensor(tokens)].float()[None].to(self.device)

    def layer(self, index: int, weights: Tensors, hidden: torch.Tensor) -> torch.Tensor:
        """(1, text, hidden) -> the same after one decoder layer with these weights, which lie on the device."""
        places = torch.arange(hidden.shape[1], device=self.device)[None]
        turned = self.rotary(hidden, places)
        given = {"attention_mask": None, "position_ids": places, "position_embeddings": turned, "use_cache": False}
        out = functional_call(self.model.model.layers[index], dict(weights), (hidden,), given)
        return out[0] if isinstance(out, tuple) else out  # transformers 4 wraps it

    def log_probs(self, norm: torch.Tensor, head: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """(1, text, hidden) -> log-probabilities of the next token (text, vocabulary), in nats."""
        normed = functional_call(self.model.model.norm, {"weight": norm}, (hidden[0],))
        return torch.log_softmax(torch.nn.functional.linear(normed, head), dim=-1)


def head_of(weights: Weights, embedding: torch.Tensor) -> torch.Tensor:
    """The output matrix (vocabulary, hidden); the embedding where the two are tied."""
    return weights.read(HEAD) if HEAD in weights else embedding
