"""A merge as one writes it with PEFT: load, merge_and_unload, save.

Usage: python -m benchmarks.merge_peer MODEL ADAPTER OUT
"""

from __future__ import annotations

import sys


def main(model: str, adapter: str, out: str) -> None:
    """In bf16, as the base is stored."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    PeftModel.from_pretrained(base, adapter).merge_and_unload().save_pretrained(out)
    AutoTokenizer.from_pretrained(model).save_pretrained(out)


if __name__ == "__main__":
    main(*sys.argv[1:4])
