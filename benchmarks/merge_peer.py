"""What is merged, and a merge as one writes it with PEFT.

Usage: python -m benchmarks.merge_peer files LAYERS TOKENIZER_FROM MODEL ADAPTER   (28 layers: 2.9 GB)
       python -m benchmarks.merge_peer peft MODEL ADAPTER OUT
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HIDDEN, INTERMEDIATE, KEYS, RANK = 1536, 8960, 256, 64  # Qwen2-1.5B's
_SHARD = 1_000_000_000
_LINEAR = {"self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.k_proj": (KEYS, HIDDEN), "self_attn.v_proj": (KEYS, HIDDEN),
           "self_attn.o_proj": (HIDDEN, HIDDEN), "mlp.gate_proj": (INTERMEDIATE, HIDDEN),
           "mlp.up_proj": (INTERMEDIATE, HIDDEN), "mlp.down_proj": (HIDDEN, INTERMEDIATE)}  # fmt: skip


def _shapes(layers: int, vocabulary: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "model.embed_tokens.weight", (vocabulary, HIDDEN)
    for number in range(layers):
        layer = f"model.layers.{number}."
        for name, shape in _LINEAR.items():
            yield f"{layer}{name}.weight", shape
            if name[-6] in "qkv" and name.startswith("self"):
                yield f"{layer}{name}.bias", shape[:1]
        yield f"{layer}input_layernorm.weight", (HIDDEN,)
        yield f"{layer}post_attention_layernorm.weight", (HIDDEN,)
    yield "model.norm.weight", (HIDDEN,)
    yield "lm_head.weight", (vocabulary, HIDDEN)


def files(layers: int, tokenizer_from: Path, model: Path, adapter: Path) -> None:
    """Writes a Qwen2-shaped bf16 checkpoint of random weights, and a LoRA adapter on all its linear layers.

    Random numbers are drawn once for each shape: what a merge costs does not depend on them.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import AutoTokenizer, Qwen2Config

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_from)
    drawn: dict[tuple[int, ...], Any] = {}

    def random(shape: tuple[int, ...], dtype: Any) -> Any:
        if shape not in drawn:
            drawn[shape] = torch.randn(shape, generator=torch.Generator().manual_seed(len(drawn))) * 0.02
        return drawn[shape].to(dtype).clone()

    for folder in (model, adapter):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        tokenizer.save_pretrained(folder)
    places, held, number = {}, dict[str, Any](), 1
    shapes = list(_shapes(layers, len(tokenizer)))
    for name, shape in shapes:
        held[name] = random(shape, torch.bfloat16)
        places[name] = f"model-{number:05}.safetensors"
        if sum(tensor.nbytes for tensor in held.values()) > _SHARD or name == shapes[-1][0]:
            save_file(held, model / places[name], metadata={"format": "pt"})
            held, number = {}, number + 1
    (model / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=HIDDEN, intermediate_size=INTERMEDIATE, num_hidden_layers=layers,
        num_attention_heads=12, num_key_value_heads=2, tie_word_embeddings=False, architectures=["Qwen2ForCausalLM"],
        dtype="bfloat16",
    ).save_pretrained(model)  # fmt: skip
    factors = {}
    for name, shape in shapes:
        if name.removesuffix(".weight").endswith(tuple(_LINEAR)):
            module = f"base_model.model.{name.removesuffix('.weight')}"
            factors[f"{module}.lora_A.weight"] = random((RANK, shape[1]), torch.float32)
            factors[f"{module}.lora_B.weight"] = random((shape[0], RANK), torch.float32)
    save_file(factors, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": 32, "lora_dropout": 0.0, "bias": "none",
        "target_modules": [name.rsplit(".", 1)[1] for name in _LINEAR], "base_model_name_or_path": str(model),
    }  # fmt: skip
    (adapter / "adapter_config.json").write_text(json.dumps(config))


def peft(model: str, adapter: str, out: str) -> None:
    """Load, merge_and_unload, save; in bf16, as the base is stored."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    PeftModel.from_pretrained(base, adapter).merge_and_unload().save_pretrained(out)
    AutoTokenizer.from_pretrained(model).save_pretrained(out)


if __name__ == "__main__":
    if sys.argv[1] == "files":
        files(int(sys.argv[2]), *map(Path, sys.argv[3:6]))
    else:
        peft(*sys.argv[2:5])
