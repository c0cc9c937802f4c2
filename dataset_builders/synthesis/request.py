"""A request in words: what is asked, the seed row as data, the form of the answer; and the digests it is known by."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import orjson
from jinja2 import TemplateError, TemplateNotFound

from dataset_builders.synthesis.declare import Seed, Synthesis
from dataset_builders.synthesis.rules import speaks_to_model, texts_of
from dataset_builders.wording import INSTRUCTION
from spine.errors import RecipeError
from spine.paths import PROMPTS, shown
from spine.prompts import environment, explained

Messages = list[dict[str, str]]
_FRAME = ("_system.j2", "_request.j2", "_again.j2")
_MOST_TOLD = 400  # characters of what was wrong
_CHARACTERS, _LETTERS = 4.0, 1.2  # a token holds about so many: of Latin script, of Japanese


@dataclass(frozen=True)
class Settings:
    """How a model is asked; another value, another answer.

    Attributes:
        temperature: 0 to 2.
        reasoning: tokens that a model may think before its answer.
    """

    temperature: float = 0.7
    reasoning: int = 0

    def tokens(self, synthesis: Synthesis) -> int:
        """That one request may answer, at most."""
        return synthesis.tokens + self.reasoning

    def text(self, synthesis: Synthesis) -> str:
        """As the store keys answers by it."""
        return json.dumps({"temperature": self.temperature, "max_tokens": self.tokens(synthesis)})


class Said(NamedTuple):
    """What came back. ``counted``: whether the endpoint counted the tokens, or we did."""

    text: str
    asked: int
    answered: int
    seconds: float
    counted: bool


class Failed(Exception):
    """One request came to nothing; the next one may."""


def template_digest(synthesis: Synthesis) -> str:
    """16 hex digits over every word and every form that a request of the dataset is made of."""
    name, form = synthesis.name, json.dumps(synthesis.schema, sort_keys=True)
    text = "\0".join((name, *map(_source, _FRAME), _instructions(name), form))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def seed_digest(seed: Seed) -> bytes:
    """16 bytes over what the model is given."""
    return hashlib.blake2b(orjson.dumps(seed.fields, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


def may_ask(seed: Seed) -> bool:
    """Not about a row whose text speaks to the model; the instruction of a rewording is ours."""
    return not speaks_to_model(texts_of({key: value for key, value in seed.fields.items() if key != INSTRUCTION}))


def first(synthesis: Synthesis, seed: Seed) -> Messages:
    """The first request. The form is always told in words, too: some endpoints accept a schema and do not heed it."""
    return [{"role": "system", "content": _system(synthesis)}, {"role": "user", "content": _user(synthesis, seed)}]


def again(messages: Messages, said: str, trouble: str) -> Messages:
    """The same sent back once with what was wrong."""
    told = _render("_again.j2", problem=trouble[:_MOST_TOLD])
    return [*messages, {"role": "assistant", "content": said}, {"role": "user", "content": told}]


@cache
def response_format(synthesis: Synthesis) -> dict[str, Any]:
    """For structured outputs."""
    form = {"name": synthesis.name, "schema": synthesis.schema, "strict": True}
    return {"type": "json_schema", "json_schema": form}


def estimated_tokens(messages: Messages) -> int:
    """About, for a dry run and where an endpoint does not count: every model has another tokenizer."""
    text = "".join(message["content"] for message in messages)
    wide = 0 if text.isascii() else sum(letter > "\u2fff" for letter in text)
    return int((len(text) - wide) / _CHARACTERS + wide / _LETTERS) + 8 * len(messages)


@cache
def _system(synthesis: Synthesis) -> str:
    return _render("_system.j2", schema=json.dumps(synthesis.schema, ensure_ascii=False))


def _user(synthesis: Synthesis, seed: Seed) -> str:
    # "<" is written as an escape: no seed text closes the marks or holds a control token.
    data = json.dumps(seed.fields, ensure_ascii=False, indent=1).replace("<", "\\u003c")
    return _render("_request.j2", instructions=_instructions(synthesis.name), seed=data)


@cache
def _instructions(name: str) -> str:
    return _render(f"{name}.j2")


def _render(file: str, **values: str) -> str:
    folder, name = PROMPTS, f"synthesis/{file}"
    try:
        return environment(folder).get_template(name).render(**values).strip()
    except TemplateNotFound as error:
        raise RecipeError("a synthesis needs its prompt in this file", where=shown(folder / name)) from error
    except TemplateError as error:
        raise explained(error, folder, name) from error


def _source(file: str) -> str:
    return (PROMPTS / "synthesis" / file).read_text(encoding="utf-8")
