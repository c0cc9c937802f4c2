"""Lengths are those of whole rows, although parts that rows have in common are counted once."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import Prepend
from tokenizers.pre_tokenizers import ByteLevel, Metaspace
from tokenizers.trainers import BpeTrainer

from spine.chat import ChatTokenizer
from tests.conftest import CHATML

# As tokenizers of the families of GPT-2, RoBERTa, Llama and T5 begin a text.
BEGINNINGS: dict[str, dict[str, Any]] = {
    "plain": {"pre_tokenizer": ByteLevel(add_prefix_space=False)},
    "blank": {"pre_tokenizer": ByteLevel(add_prefix_space=True)},
    "first": {"pre_tokenizer": Metaspace(prepend_scheme="first")},
    "always": {"pre_tokenizer": Metaspace(prepend_scheme="always")},
    "normalizer": {"pre_tokenizer": Metaspace(prepend_scheme="never"), "normalizer": Prepend("_")},
}
STRIPS: dict[str, dict[str, bool]] = {"none": {}, "left": {"lstrip": True}, "both": {"lstrip": True, "rstrip": True}}


@cache
def tokenizer(beginning: str, strip: str) -> ChatTokenizer:
    """One that has learned a few words, blanks and line ends with them."""
    made = Tokenizer(BPE())
    for name, value in BEGINNINGS[beginning].items():
        setattr(made, name, value)
    trainer = BpeTrainer(vocab_size=400, show_progress=False)
    made.train_from_iterator(["user\nassistant\n system oak board \n oak  board\n\n user oak"] * 3, trainer)
    made.add_special_tokens([AddedToken(text, **STRIPS[strip]) for text in ("<|im_start|>", "<|im_end|>")])
    made.add_special_tokens([AddedToken("oak", single_word=True)])
    with TemporaryDirectory() as folder:
        made.save(f"{folder}/tokenizer.json")
        config = {"chat_template": CHATML, "eos_token": "<|im_end|>"}
        Path(folder, "tokenizer_config.json").write_text(json.dumps(config))
        return ChatTokenizer.load(folder)


texts = st.lists(st.sampled_from([" ", "\n", "oak", "oaks", "board", "user", "ß", "<"]), max_size=8).map("".join)


@settings(deadline=None, max_examples=30)
@pytest.mark.parametrize("strip", STRIPS)
@pytest.mark.parametrize("beginning", BEGINNINGS)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4))
def test_a_row_is_as_long_as_its_text(beginning: str, strip: str, rows: list[tuple[str, str]]) -> None:
    chat = tokenizer(beginning, strip)
    turns = [
        [
            {"role": "system", "content": "system"},
            {"role": "user", "content": asked},
            {"role": "assistant", "content": answer},
        ]
        for asked, answer in rows
    ]

    def length(text: str) -> int:
        return len(chat.tokenizer.encode(text, add_special_tokens=False).ids)

    whole = [chat.render(row) for row in turns]
    answers = [row[-1]["content"] + chat.end for row in turns]
    assert chat.lengths(turns) == [(length(text), length(answer)) for text, answer in zip(whole, answers, strict=True)]
