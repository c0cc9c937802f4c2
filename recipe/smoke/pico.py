"""Writes a pico model: ``.venvs/train/bin/python -m recipe.smoke.pico FROM TO [KIND] [heads] [hidden] [positions]``.

Random weights of a real architecture: axolotl, DeepSpeed, bitsandbytes and PEFT treat it as any model, in a second a
step. The tokenizer is that of the folder FROM; KIND is ``llama``, ``qwen2`` or another of transformers' names.
"""

from __future__ import annotations

import sys
from pathlib import Path

from spine.atomic import whole_folder


def write(
    tokenizer_from: Path, folder: Path, kind: str = "llama", heads: int = 4, hidden: int = 64, positions: int = 2048
) -> None:
    """Two layers, ``heads`` heads on ``hidden`` features, rows of up to ``positions`` tokens."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_from)
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        kind, vocab_size=len(tokenizer), hidden_size=hidden, intermediate_size=2 * hidden, num_hidden_layers=2,
        num_attention_heads=heads, num_key_value_heads=heads // 2, max_position_embeddings=positions,
        tie_word_embeddings=True, bos_token_id=1,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    with whole_folder(folder) as temporary:
        AutoModelForCausalLM.from_config(config).to(torch.bfloat16).save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)


def main(arguments: list[str]) -> None:
    """What the command line says."""
    tokenizer_from, folder, kind, *sizes = arguments if arguments[2:] else [*arguments, "llama"]
    named = dict(zip(("heads", "hidden", "positions"), map(int, sizes), strict=False))
    write(Path(tokenizer_from), Path(folder), kind, **named)


if __name__ == "__main__":
    main(sys.argv[1:])
