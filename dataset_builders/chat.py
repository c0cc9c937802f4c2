"""Questions as chat rows, and their length in the model's own tokens, without torch or transformers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from dataset_builders.task import Question, Task
from recipe.errors import RecipeError
from recipe.manifest import digest, file_digest
from recipe.models import model_files
from recipe.prompts import clean, system_prompt, user_prompt
from recipe.task_types import answer_text

Message = dict[str, str]
_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def messages(task: Task, wording: str, question: Question) -> list[Message]:
    """The three turns of a training row: system (names the task type), user, assistant (the answer)."""
    return [
        {"role": "system", "content": system_prompt(task.type)},
        {"role": "user", "content": user_prompt(task.name, wording, question.fields)},
        {"role": "assistant", "content": clean(answer_text(task.type, question.truth))},
    ]


@dataclass(frozen=True)
class ChatTokenizer:
    """A model's tokenizer and chat template. ``end``: the token that closes a turn."""

    tokenizer: Tokenizer
    template: Template
    end: str
    special: dict[str, str]
    digest: str

    @classmethod
    def load(cls, base_model: str) -> ChatTokenizer:
        """From a model folder or a name on the Hugging Face hub, see ``recipe.models``.

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
        return cls(
            Tokenizer.from_file(str(files["tokenizer.json"])),
            _environment().from_string(template),
            special["eos_token"],
            special,
            digest({name: file_digest(path) for name, path in files.items()}),
        )

    def lengths(self, rows: Sequence[Sequence[Message]]) -> list[tuple[int, int]]:
        """For each row: tokens in all, and tokens that carry loss (the answer and the end of its turn)."""
        texts = [self.template.render(messages=row, add_generation_prompt=False, **self.special) for row in rows]
        answers = [row[-1]["content"] + self.end for row in rows]
        whole = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        trained = self.tokenizer.encode_batch_fast(answers, add_special_tokens=False)
        return [(len(w), len(t)) for w, t in zip(whole, trained, strict=True)]


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
