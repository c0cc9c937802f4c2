"""A model's tokenizer and chat template, which are somebody else's text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel

from spine.chat import ChatTokenizer
from tests.conftest import CHATML

CONTROL = ["<|im_end|>", " foo", "fo o", "f  oo", "a b", "[x]", "  [ x]", "ab", "b a"]


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> ChatTokenizer:
    """A model whose control tokens begin with blanks, hold some, and stand in one another."""
    folder = tmp_path_factory.mktemp("strange")
    made = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    made.add_tokens([AddedToken(token, normalized=False) for token in CONTROL])
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": CHATML, "eos_token": "<|im_end|>"}))
    return ChatTokenizer.load(str(folder))


@given(st.lists(st.sampled_from([*CONTROL, "<|im_", "end|>", "a", "b", "f", "o", " ", "[", "x"]), max_size=60))
def test_every_text_is_defused(strange: ChatTokenizer, parts: list[str]) -> None:
    text = "".join(parts)
    defused = strange.defuse(text)
    assert not any(token in defused for token in CONTROL)
    assert defused.replace(" ", "") == text.replace(" ", "")
