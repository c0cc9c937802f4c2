"""A job's texts as the model reads them; for the programs that quantise and measure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer


def tokens(settings: Mapping[str, Any]) -> list[list[int]]:
    """The texts of a job in the model's tokens, by its tokenizer.json: AutoTokenizer may take another algorithm."""
    tokenizer = Tokenizer.from_file(str(Path(settings["model"]) / "tokenizer.json"))
    texts = json.loads(Path(settings["texts"]).read_text(encoding="utf-8"))
    return [found.ids for found in tokenizer.encode_batch(texts, add_special_tokens=False)]
