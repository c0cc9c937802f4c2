"""The same conversations by our renderer, by transformers and by axolotl: the same tokens, on the same day."""

from __future__ import annotations

from pathlib import Path

import pytest

from spine.chat import ChatTokenizer
from spine.template import pin_date
from tests.templates import FAMILIES, pico

ROW = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "1 + a?"},
    {"role": "assistant", "content": "2"},
]


@pytest.mark.parametrize("family", FAMILIES)
def test_everybody_reads_the_same_tokens(family: str, tmp_path: Path) -> None:
    from axolotl.prompt_strategies.chat_template import ChatTemplatePrompter
    from transformers import AutoTokenizer

    pin_date()
    folder = pico(tmp_path / "m", FAMILIES[family])
    chat, theirs = ChatTokenizer.load(str(folder)), AutoTokenizer.from_pretrained(folder)
    whole, asked = (tuple(chat.tokenizer.encode(text, add_special_tokens=False).ids)
                    for text in (chat.render(ROW), chat.asked(ROW[:-1])))  # fmt: skip
    assert tuple(theirs.apply_chat_template(ROW, tokenize=True, return_dict=False)) == whole
    assert whole[: len(asked)] == asked
    if chat.asking is not None:
        prompt = theirs.apply_chat_template(
            ROW[:-1], tokenize=True, return_dict=False, add_generation_prompt=True, **chat.asking
        )
        assert tuple(prompt) == asked
    prompter = ChatTemplatePrompter(theirs, chat_template=theirs.get_chat_template())
    assert tuple(prompter.build_prompt(ROW)) == whole
