"""Writes a pico model with the embedded model's tokenizer: ``.venvs/train/bin/python tests/pico.py FROM TO [KIND]``.

Random weights of a real architecture: axolotl, bitsandbytes and PEFT treat it as any model, in a second a step.
KIND is ``llama`` or ``qwen2``; heads (4) and hidden size (64) may follow.
"""

from __future__ import annotations

import sys
from pathlib import Path


def write(tokenizer_from: Path, folder: Path, kind: str = "llama", heads: int = 4, hidden: int = 64) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_from)
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        kind, vocab_size=len(tokenizer), hidden_size=hidden, intermediate_size=2 * hidden, num_hidden_layers=2,
        num_attention_heads=heads, num_key_value_heads=heads // 2, max_position_embeddings=2048,
        tie_word_embeddings=True, bos_token_id=1,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4], *map(int, sys.argv[4:]))
