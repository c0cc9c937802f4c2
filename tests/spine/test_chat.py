"""A model's tokenizer and chat template, which are somebody else's text."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel

from spine.chat import ChatTokenizer
from spine.errors import RecipeError
from tests.conftest import CHATML
from tests.templates import FAMILIES, TURN, pico

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


ROW = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "1 + 1?"},
    {"role": "assistant", "content": "2"},
]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_question_is_asked_as_it_was_trained(family: str, tmp_path: Path) -> None:
    chat = ChatTokenizer.load(str(pico(tmp_path / "m", FAMILIES[family])))
    whole, prompt = chat.render(ROW), chat.asked(ROW[:-1])
    answer = whole.removeprefix(prompt)
    assert prompt + answer == whole and answer.strip().startswith("2<|im_end|>")
    head, tail = chat.around("Be brief.")
    assert head + "1 + 1?" + tail == prompt


def test_what_no_template_variable_mends_is_asked_as_it_was_trained(tmp_path: Path) -> None:
    bare = "{% for m in messages %}" + TURN + "{% endfor %}"
    chat = ChatTokenizer.load(str(pico(tmp_path / "m", bare)))
    assert chat.asking is None and chat.asked(ROW[:-1]).endswith("<|im_start|>assistant\n")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (None, "has no chat template"), ("", "has no chat template"), ([], "has no chat template"),
        ([{"name": "tools", "template": "x"}], "has no chat template"), ({"a": 1}, "has no chat template"),
        ("{% for m in messages %}", "chat template is none (line 1)"), ("{% include 'a' %}{{", "chat template is none"),
        ("{{ raise_exception('no system') }}", "refuses a row: no system"), ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ messages.__class__.__mro__ }}", "SecurityError"),
        ("{{ messages[0].a.b }}", "Undefined"),
        ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "RecursionError"), ("{{ range(10**9) }}", "OverflowError"),
        ("hello", "leaves out what is said"),
        ("{% for p in messages[0].content %}{{ p.text }}{% endfor %}", "axolotl gives it texts"),
        ("{% include 'other' %}", "fails on a row"),
    ],
)  # fmt: skip
def test_a_template_that_does_not_do_is_one_message(template: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=re.escape(said)):
        ChatTokenizer.load(str(pico(tmp_path / "m", template))).asked(ROW[:-1])


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"{", b"[]", b"[" * 100_000, b'{"version": 3}', b"{{"])
def test_a_damaged_file_of_a_tokenizer_is_one_message(name: str, content: bytes, tmp_path: Path) -> None:
    folder = pico(tmp_path / "m", FAMILIES["chatml"])
    (folder / name).write_bytes(content)
    said = ""
    try:
        ChatTokenizer.load(str(folder))
    except RecipeError as error:
        said = str(error)
    text = name == "chat_template.jinja" and content.startswith((b"{", b"["))  # any text may be a template
    assert name in said or (text and content != b"{{")
