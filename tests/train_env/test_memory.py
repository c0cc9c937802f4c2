"""The plan's formulae beside what PyTorch really keeps: a real layer, and a whole step at the 72B's width.

The whole step runs on the meta device, where tensors have sizes and no bytes. bitsandbytes cannot go there, so a linear
layer that unpacks its weight in both passes stands for its 4-bit one; everything else is the real code.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from axolotl_configs.costs.architecture import Architecture
from axolotl_configs.costs.memory import gpu_parts, layer_bytes

torch = pytest.importorskip("torch")
pytest.importorskip("axolotl")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_iter  # noqa: E402

from axolotl_configs import on_cpu  # noqa: E402

RANK = 16
LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SETTINGS = {"load_in_4bit": True, "gradient_checkpointing": True, "micro_batch_size": 1, "lora_r": RANK,
            "lora_dropout": 0.0, "deepspeed": {"zero_optimization": {"stage": 2}}}  # fmt: skip


def config(hidden: int, inner: int, heads: int, kv: int, vocabulary: int, layers: int, attention: str = "sdpa") -> Any:
    from transformers import Qwen2Config

    return Qwen2Config(
        hidden_size=hidden, intermediate_size=inner, num_attention_heads=heads, num_key_value_heads=kv,
        vocab_size=vocabulary, num_hidden_layers=layers, tie_word_embeddings=False, use_cache=False,
        attn_implementation=attention,
    )  # fmt: skip


def qlora(shape: Any, linear: Any, dropout: float, dtype: Any) -> Any:
    """A model in bf16 whose seven linear layers are replaced by ``linear(layer)``, with LoRA on them."""
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen2ForCausalLM

    torch.set_default_dtype(torch.bfloat16)
    try:
        model = Qwen2ForCausalLM(shape)
    finally:
        torch.set_default_dtype(torch.float32)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if name in LAYERS:
                setattr(parent, name, linear(child))
    made = get_peft_model(model, LoraConfig(r=RANK, lora_dropout=dropout, target_modules=LAYERS))
    for module in made.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None and parameter.requires_grad:
                module._parameters[name] = torch.nn.Parameter(parameter.detach().to(dtype))
    return made.train()


def four_bit(layer: Any) -> Any:
    import bitsandbytes as bnb

    made = bnb.nn.Linear4bit(
        layer.in_features, layer.out_features, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4",
        quant_storage=torch.bfloat16,
    )  # fmt: skip
    made.weight = bnb.nn.Params4bit(
        layer.weight.data, requires_grad=False, quant_type="nf4", quant_storage=torch.bfloat16
    )
    made = made.to("cpu")
    made.support_avx512bf16_for_cpu = False  # or it repacks its weights, see axolotl_configs.on_cpu
    return made


def saved(model: Any, tokens: int, autocast: bool, dtype: Any = torch.bfloat16) -> int:
    """Bytes that the first layer keeps for its backward pass, without its weights."""
    base = model.base_model.model.model
    hidden = base.config.hidden_size
    x = torch.randn(1, tokens, hidden, dtype=dtype, requires_grad=True)
    positions = torch.arange(tokens)[None]
    rotary = base.rotary_emb(x, positions)
    not_counted = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *rotary)}
    found: dict[int, int] = {}

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in not_counted:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            out = base.layers[0](x, position_embeddings=rotary, attention_mask=None, position_ids=positions)
        assert out is not None
        return sum(found.values())


@pytest.mark.parametrize("dropout", [0.0, 0.05])
@pytest.mark.parametrize("cpu", [True, False])
def test_a_layer_keeps_what_the_formula_says(cpu: bool, dropout: float) -> None:
    shape = config(256, 768, heads=8, kv=2, vocabulary=64, layers=1)
    # On a CPU LoRA is in fp32 and autocast; with DeepSpeed on GPUs in bf16.
    model = qlora(shape, four_bit, dropout, torch.float32 if cpu else torch.bfloat16)
    if cpu:
        on_cpu.prepare(model, packed=False)
    a_token = (saved(model, 192, autocast=cpu) - saved(model, 64, autocast=cpu)) / 128
    formula = layer_bytes({"lora_r": RANK, "lora_dropout": dropout}, Architecture.of(shape.to_dict()), cpu=cpu)
    if dropout and not cpu:  # a mask is a byte an element on a GPU, but as wide as its input on a CPU
        formula += 5 * 256 + 256 + 768
    assert formula == pytest.approx(a_token, rel=0.005)


@pytest.mark.parametrize("dropout", [0.0, 0.05])
def test_a_layer_in_fp32_keeps_what_the_formula_says(dropout: float) -> None:
    """As a CPU without AVX-512 trains it."""
    shape = config(256, 768, heads=8, kv=2, vocabulary=64, layers=1)
    model = qlora(shape, four_bit, dropout, torch.float32)
    for module in model.modules():
        if hasattr(module, "compute_dtype"):
            module.compute_dtype = torch.float32
        elif not list(module.children()):
            module.float()
    a_token = (saved(model, 192, False, torch.float32) - saved(model, 64, False, torch.float32)) / 128
    settings = {"lora_r": RANK, "lora_dropout": dropout, "bf16": False}
    assert layer_bytes(settings, Architecture.of(shape.to_dict()), cpu=True) == pytest.approx(a_token, rel=0.005)


class _Unpacked(torch.autograd.Function):
    """x @ W.T with a W that is made anew in each pass, as bitsandbytes' MatMul4Bit does."""

    @staticmethod
    def forward(ctx: Any, x: Any, out_features: int) -> Any:
        ctx.shape = (out_features, x.shape[-1])
        return torch.nn.functional.linear(x, torch.empty(ctx.shape, dtype=torch.bfloat16).mul_(1))

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return gradient @ torch.empty(ctx.shape, dtype=torch.bfloat16).mul_(1), None


class Packed(torch.nn.Linear):
    """Stands for a 4-bit layer: no weight of its own."""

    def __init__(self, layer: Any) -> None:
        super().__init__(1, 1, bias=False)
        self.in_features, self.out_features = layer.in_features, layer.out_features

    def forward(self, x: Any) -> Any:
        return _Unpacked.apply(x, self.out_features).clone()  # PEFT clones a 4-bit layer's result


class _Fused(torch.autograd.Function):
    """What a fused attention keeps; on the meta device torch would take the one that keeps all scores."""

    @staticmethod
    def forward(ctx: Any, q: Any, k: Any, v: Any) -> Any:
        out = torch.empty_like(q.transpose(1, 2).contiguous()).mul_(1).transpose(1, 2)  # laid out by token
        log_sums = torch.empty(q.shape[:3]).mul_(1)
        ctx.save_for_backward(q, k, v, out, log_sums)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return tuple(torch.empty_like(tensor).mul_(1) for tensor in ctx.saved_tensors[:3])


class Dropped(torch.nn.Module):
    """CUDA's dropout, whose mask is a byte an element."""

    def forward(self, x: Any) -> Any:
        return torch.native_dropout(x, 0.05, True)[0]


class Peak(TorchDispatchMode):
    """The most bytes that were alive at once, of what is made within."""

    def __init__(self, without: Iterator[Any]) -> None:
        super().__init__()
        self.kept = [tensor.untyped_storage() for tensor in without]
        self.alive = {storage._cdata: 0 for storage in self.kept}
        self.now = self.most = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        for tensor in tree_iter(out):
            if isinstance(tensor, torch.Tensor) and (storage := tensor.untyped_storage())._cdata not in self.alive:
                self.alive[storage._cdata] = storage.nbytes()
                self.now += storage.nbytes()
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self._gone, storage._cdata)
        return out

    def _gone(self, key: int) -> None:
        self.now -= self.alive.pop(key)


@pytest.mark.slow  # 10 s
@pytest.mark.parametrize("vocabulary", [152_064, 64], ids=["the loss is largest", "a layer is largest"])
@pytest.mark.parametrize("dropout", [0.0, 0.05])
def test_a_step_at_the_width_of_the_72b_peaks_where_the_plan_says(vocabulary: int, dropout: float) -> None:
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    def attention(module: Any, q: Any, k: Any, v: Any, mask: Any, **kwargs: Any) -> Any:
        return _Fused.apply(q, k, v).transpose(1, 2).contiguous(), None

    ALL_ATTENTION_FUNCTIONS["fused"] = attention
    shape = config(8192, 29568, heads=64, kv=8, vocabulary=vocabulary, layers=2, attention="fused")
    with torch.device("meta"):
        model = qlora(shape, Packed, dropout, torch.bfloat16)
        for parent in list(model.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, torch.nn.Dropout):
                    setattr(parent, name, Dropped())
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
        ids = torch.zeros(1, 3072, dtype=torch.long)
        with Peak(iter([*model.parameters(), *model.buffers()])) as peak:
            loss = model(input_ids=ids, labels=ids).loss
            loss.backward()
    settings = {**SETTINGS, "sequence_len": 3072, "lora_dropout": dropout}
    parts = gpu_parts(settings, Architecture.of(shape.to_dict()), gpus=8)
    planned = sum(part.nbytes for part in parts if part.name in ("activations", "loss", "layer at work"))
    assert {part.name for part in parts} >= {"loss" if vocabulary > 64 else "layer at work"}
    assert planned == pytest.approx(peak.most, rel=0.03)
