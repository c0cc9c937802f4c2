"""A model's tokenizer and chat template, and texts in its own tokens, without torch or transformers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from jinja2 import Template
from tokenizers import Tokenizer

from spine.checkpoint import read_json
from spine.errors import RecipeError
from spine.manifest import digest, file_digest
from spine.models import model_files
from spine.paths import shown
from spine.template import chosen, compiled, rendered

Message = dict[str, str]
_MARK = "\u241f"  # a sign that no template changes; templates strip blanks
# What templates of models that reason are told, so that a question is put as training puts it: without thoughts.
_UNTHINKING: tuple[dict[str, Any], ...] = ({}, {"enable_thinking": False}, {"thinking": False})
_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
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
            RecipeError: it cannot be had, is damaged, or has no chat template.
        """
        files = model_files(base_model, _FILES[:2], optional=_FILES[2:])
        config = read_json(files["tokenizer_config.json"])
        template, where = config.get("chat_template"), files["tokenizer_config.json"]
        try:
            if "chat_template.jinja" in files:
                where = files["chat_template.jinja"]
                template = where.read_text(encoding="utf-8")
            made = compiled(chosen(template))
            where = files["tokenizer.json"]
            tokenizer = Tokenizer.from_file(str(where))
        except RecipeError as error:
            raise RecipeError(error.what, where=shown(where), way_out=error.way_out) from error
        except Exception as error:  # the library raises nothing narrower
            raise RecipeError(
                f"is damaged: {str(error)[:200]}", where=shown(where), way_out="fetch it again"
            ) from error
        special = {key: text for key in _SPECIAL if (text := _token(config.get(key)))}
        return cls(
            tokenizer,
            made,
            special.get("eos_token", ""),
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
        return rendered(self.template, row, add_generation_prompt=False, **self.special)

    def asked(self, row: Sequence[Message]) -> str:
        """A conversation up to where the model is to answer: what it read before the answers that it was trained on."""
        if self.asking is None:
            return self._trained(row)
        return rendered(self.template, row, add_generation_prompt=True, **self.special, **self.asking)

    @cached_property
    def asking(self) -> dict[str, Any] | None:
        """What the template is told where a question is asked; None: there is nothing that makes it ask as it trains.

        A blank between prompt and answer is the answer's: tokenizers join them.
        """
        row: list[Message] = [{"role": "user", "content": _MARK}]
        trained = self._trained(row)
        for told in _UNTHINKING:
            if rendered(self.template, row, add_generation_prompt=True, **self.special, **told).rstrip(" ") == trained:
                return told
        return None

    def _trained(self, row: Sequence[Message]) -> str:
        mark = 2 * _MARK
        text, found, _ = self.render([*row, {"role": "assistant", "content": mark}]).rpartition(mark)
        if not found:
            way_out = "it wants parts in place of texts, perhaps; axolotl gives it texts"
            raise RecipeError("the model's chat template leaves out what is said", way_out=way_out)
        return text.rstrip(" ")

    def around(self, system: str) -> tuple[str, str]:
        """What stands in front of the user's text where it is asked, and behind it."""
        text = self.asked([{"role": "system", "content": system}, {"role": "user", "content": _MARK}])
        head, found, tail = text.partition(_MARK)
        if not found:
            raise RecipeError("the model's chat template leaves out what the user says")
        return head, tail

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
