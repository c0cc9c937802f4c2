"""Checkpoints and adapters written byte by byte, without torch: what ``postprocess`` reads in the core environment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spine.checkpoint import INDEX, SINGLE, header_bytes

HIDDEN, WIDTH, VOCABULARY = 8, 12, 16
Shapes = Mapping[str, tuple[int, ...]]


def content(shape: tuple[int, ...], seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype("<f4")


def write_tensors(path: Path, shapes: Shapes) -> Path:
    """An fp32 file of random numbers."""
    header, _ = header_bytes({name: ("F32", shape) for name, shape in shapes.items()})
    path.write_bytes(header + b"".join(content(shape, at).tobytes() for at, shape in enumerate(shapes.values())))
    return path


def model_shapes(layers: int = 2, *, head: bool = True) -> dict[str, tuple[int, ...]]:
    """A Llama's tensors."""
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN)}
    for layer in range(layers):
        at = f"model.layers.{layer}"
        found |= {f"{at}.self_attn.{name}_proj.weight": (HIDDEN, HIDDEN) for name in "qkvo"}
        found |= {f"{at}.mlp.{name}_proj.weight": (WIDTH, HIDDEN) for name in ("gate", "up")}
        found |= {f"{at}.mlp.down_proj.weight": (HIDDEN, WIDTH), f"{at}.input_layernorm.weight": (HIDDEN,)}
    return found | {"model.norm.weight": (HIDDEN,)} | ({"lm_head.weight": (VOCABULARY, HIDDEN)} if head else {})


def write_model(folder: Path, shards: int = 1, *, shapes: Shapes | None = None, **config: Any) -> Path:
    """A model's folder; with several shards the tensors are dealt out to them in turn."""
    folder.mkdir(parents=True)
    shapes = shapes or model_shapes()
    stated = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "intermediate_size": WIDTH,
              "hidden_size": HIDDEN, "vocab_size": VOCABULARY, "tie_word_embeddings": False, **config}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(stated))
    if shards == 1:
        write_tensors(folder / SINGLE, shapes)
        return folder
    names = [f"model-{number:05}-of-{shards:05}.safetensors" for number in range(1, shards + 1)]
    for number, name in enumerate(names):
        write_tensors(folder / name, dict(list(shapes.items())[number::shards]))
    write_index(folder, {name: names[at % shards] for at, name in enumerate(shapes)})
    return folder


def write_index(folder: Path, places: Any) -> None:
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": places}))


def adapter_shapes(rank: int = 2) -> dict[str, tuple[int, ...]]:
    """LoRA on q_proj and down_proj of two layers."""
    found: dict[str, tuple[int, ...]] = {}
    for layer in (0, 1):
        at = f"base_model.model.model.layers.{layer}"
        found |= {f"{at}.self_attn.q_proj.lora_A.weight": (rank, HIDDEN),
                  f"{at}.self_attn.q_proj.lora_B.weight": (HIDDEN, rank),
                  f"{at}.mlp.down_proj.lora_A.weight": (rank, WIDTH),
                  f"{at}.mlp.down_proj.lora_B.weight": (HIDDEN, rank)}  # fmt: skip
    return found


def write_adapter(folder: Path, shapes: Shapes | None = None, **config: Any) -> Path:
    folder.mkdir(parents=True)
    write_tensors(folder / "adapter_model.safetensors", adapter_shapes() if shapes is None else shapes)
    stated = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": "a-base", **config}
    (folder / "adapter_config.json").write_text(json.dumps(stated))
    return folder
