"""A model's tokenizer and chat template, and texts in its own tokens, without torch or transformers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from spine.errors import RecipeError
from spine.manifest import digest, file_digest
from spine.models import model_files

Message = dict[str, str]
_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def tokenizer_digest(base_model: str) -> str:
    """``ChatTokenizer.digest`` of a model, without loading it.

    Raises:
        RecipeError: it cannot be had.
    """
    return _digest(model_files(base_model, _FILES[:2], optional=_FILES[2:]))


def _digest(files: Mapping[str, Path]) -> str:
    return digest({name: file_digest(path) for name, path in files.items()})


@dataclass(frozen=True)
class ChatTokenizer:
    """A model's tokenizer and chat template. ``end``: the token that closes a turn."""

    tokenizer: Tokenizer
    template: Template
    end: str
    special: dict[str, str]
    control: re.Pattern[str]
    parting: re.Pattern[str]
    digest: str

    @classmethod
    def load(cls, base_model: str) -> ChatTokenizer:
        """From a model folder or a name on the Hugging Face hub, see ``spine.models``.

        Raises:
            RecipeError: it cannot be had, or it has no chat template.
        """
        files = model_files(base_model, _FILES[:2], optional=_FILES[2:])
        config = json.loads(files["tokenizer_config.json"].read_text(encoding="utf-8"))
        template = config.get("chat_template")
        if "chat_template.jinja" in files:
            template = files["chat_template.jinja"].read_text(encoding="utf-8")
        if not isinstance(template, str):
            raise RecipeError(f"the tokenizer of {base_model} has no chat template", way_out="take an Instruct model")
        special = {key: _token(config.get(key)) for key in ("eos_token", "bos_token", "pad_token", "unk_token")}
        tokenizer = Tokenizer.from_file(str(files["tokenizer.json"]))
        return cls(
            tokenizer,
            _environment().from_string(template),
            special["eos_token"],
            special,
            _control_tokens(tokenizer),
            _parting(tokenizer),
            _digest(files),
        )

    def defuse(self, text: str) -> str:
        """``text`` with a blank inside whatever this model would read as a control token: ``< |im_end|>``."""
        while self.control.search(text):  # again: the blank may leave one that was around it
            text = self.control.sub(_apart, text)
        return text

    def render(self, row: Sequence[Message]) -> str:
        """A whole conversation, the answer included, as the model reads it."""
        return self.template.render(messages=row, add_generation_prompt=False, **self.special)

    def pieces(self, row: Sequence[Message]) -> tuple[str, list[str]]:
        """The text up to the answer, and the tokens that carry loss, as text; ``lengths`` counts the same.

        A letter that is cut into several tokens (Japanese ones are) is shown with the first of them.
        """
        text = self.render(row)
        answer = row[-1]["content"] + self.end
        begin = text.rindex(answer)
        offsets = self.tokenizer.encode(answer, add_special_tokens=False).offsets
        starts = sorted({start for start, _ in offsets})
        ends = [*starts[1:], len(answer)]
        return text[:begin], [answer[start:end] for start, end in zip(starts, ends, strict=True)]

    def lengths(self, rows: Sequence[Sequence[Message]]) -> list[tuple[int, int]]:
        """For each row: tokens in all, and tokens that carry loss (the answer and the end of its turn)."""
        texts = [self.render(row) for row in rows]
        wholes = [self.parts(text) for text in texts]
        answers = [self.parts(row[-1]["content"] + self.end) for row in rows]
        # Each part once: the system prompt is that of all rows, and many have the same answer.
        known = list(dict.fromkeys(part for parts in (*wholes, *answers) for part in parts))
        encoded = self.tokenizer.encode_batch_fast(known, add_special_tokens=False)
        count = {part: len(found) for part, found in zip(known, encoded, strict=True)}
        return [
            (sum(map(count.__getitem__, whole)), sum(map(count.__getitem__, answer)))
            for whole, answer in zip(wholes, answers, strict=True)
        ]

    def parts(self, text: str) -> list[str]:
        """``text`` cut before each token that parts it anyway: the tokens of the whole are those of its parts."""
        cuts = [0, *(found.start() for found in self.parting.finditer(text)), len(text)]
        return [text[begin:end] for begin, end in pairwise(cuts) if begin < end]


def _control_tokens(tokenizer: Tokenizer) -> re.Pattern[str]:
    """Every token that is added to the vocabulary and is no blank: `<|im_end|>`, `</s>`, `<filename>`, `[INST]`."""
    added = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    known = sorted({token for token in added if len(token.strip()) > 1}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, known)) or r"(?!)")


def _parting(tokenizer: Tokenizer) -> re.Pattern[str]:
    """Special tokens that are found wherever they stand, and take no blanks from the text before them: behind such a
    token a tokenizer begins anew."""
    added = tokenizer.get_added_tokens_decoder().values()
    known = [token.content for token in added if token.special and not (token.lstrip or token.single_word)]
    return re.compile("|".join(map(re.escape, known)) or r"(?!)")


def _apart(found: re.Match[str]) -> str:
    """Behind its first letter, so that the gap grows with every pass until it is wider than any token's."""
    token = found[0]
    first = len(token) - len(token.lstrip()) + 1
    return f"{token[:first]} {token[first:]}"


def _token(value: Any) -> str:
    """Tokenizer configs hold a token as text or as a dict with its text."""
    return str(value.get("content", "")) if isinstance(value, dict) else str(value or "")


def _environment() -> ImmutableSandboxedEnvironment:
    def raise_exception(message: str) -> None:
        raise RecipeError(f"the model's chat template refuses a row: {message}")

    # Chat templates are written for these settings (transformers' apply_chat_template).
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = raise_exception
    return environment
