"""What makes QLoRA fast on a CPU, with the same numbers as without it; runs inside axolotl."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn.functional import linear


def prepare(model: nn.Module, *, packed: bool) -> None:
    """Of a model that trains on a CPU; ``packed``: with ``sample_packing``."""
    for module in model.modules():
        if isinstance(module, Linear4bit):
            unpack(module)
        if isinstance(module, LoraLayer) and isinstance(module.get_base_layer(), nn.Linear):
            add_in_place(module)
    if packed:
        attend_row_by_row()


def unpack(layer: Linear4bit) -> None:
    """Unpacks a layer's 4-bit weight once, where bitsandbytes would in every pass: a small model has the room.

    bitsandbytes 0.50.2 does worse on CPUs with AVX512-BF16: in the first forward of ``eval()`` it repacks the weight
    for a kernel that passes no gradient to its input (``nn/modules.py``, Linear4bit.forward), and keeps it so. After a
    first look at the held-out rows a training would go on without the gradients of the frozen base, and learn far less.
    """
    weight = dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    weight = weight.to(layer.compute_dtype or weight.dtype)

    def forward(self: Linear4bit, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(weight.dtype)
        return linear(x.to(weight.dtype), weight, bias).to(x.dtype)

    layer.forward = MethodType(forward, layer)


def add_in_place(layer: Any) -> None:
    """Has a LoRA layer add ``scale * B A x`` to ``W x`` as it multiplies: PEFT passes over each output four times more.

    It rounds less often than PEFT does, and its input is not cast to fp32 and, by autocast, back to bf16. Left alone: a
    layer with dropout, DoRA or another variant.
    """
    name, *others = layer.active_adapters
    if others or layer.lora_variant or not isinstance(layer.lora_dropout[name], nn.Identity):
        return
    down, up, scale = layer.lora_A[name], layer.lora_B[name], layer.scaling[name]

    def forward(self: Any, x: Tensor) -> Tensor:
        out = self.base_layer(x)
        added = torch.addmm(out.flatten(0, -2), down(x).flatten(0, -2), up.weight.t(), alpha=scale)
        return added.view_as(out)

    layer.forward = MethodType(forward, layer)


def attend_row_by_row() -> None:
    """Has a packed row's attention go through its rows one after another, as axolotl's does on a GPU.

    On a CPU axolotl masks the scores between rows, after it has computed them.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    whole = ALL_ATTENTION_FUNCTIONS["sdpa"]

    def attention(
        module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **settings: Any
    ) -> Any:
        """``query``, ``key``, ``value``: (rows, heads, tokens, size of a head)."""
        places = settings.get("position_ids")
        if attention_mask is not None or places is None or query.shape[0] != 1:
            return whole(module, query, key, value, attention_mask, **settings)
        begins = (places[0] == 0).nonzero().squeeze(1)
        if len(begins) < 2:  # one row, or a token of an answer that is being written
            return whole(module, query, key, value, attention_mask, **settings)
        lengths = begins.diff(append=begins.new_tensor([query.shape[2]])).tolist()
        parts = zip(*(states.split(lengths, 2) for states in (query, key, value)), strict=True)
        rows = [whole(module, *part, None, **{**settings, "position_ids": None})[0] for part in parts]
        return torch.cat(rows, 1), None

    ALL_ATTENTION_FUNCTIONS.register("sdpa", attention)
