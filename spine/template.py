"""Chat templates as transformers renders them (its utils/chat_template_utils.py), without it, and on one day for ever.

A template is somebody else's program: it runs in Jinja's sandbox, and whatever it does wrong is one message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from jinja2 import Template, TemplateError
from jinja2.ext import Extension
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from spine.errors import RecipeError

# Templates that tell the date tell this one, when rows are tokenised and when questions are asked, whatever day it is:
# Llama 3's own, where nobody tells another.
_TODAY = (2024, 7, 26)


class _OneDay(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> _OneDay:
        return cls(*_TODAY, tzinfo=tz)


class _Generation(Extension):
    """``{% generation %}``: marks what a model has said, for those who mask the rest; text like any other here."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> list[Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def pin_date() -> None:
    """Where transformers itself renders: in axolotl, in vLLM's server."""
    from transformers.utils import chat_template_utils

    chat_template_utils.datetime = _OneDay


def chosen(given: Any) -> str:
    """The template for a chat without tools: the only one, or of a list the one named ``default``.

    Raises:
        RecipeError: there is none.
    """
    if isinstance(given, list):
        named = {one.get("name"): one.get("template") for one in given if isinstance(one, dict)}
        given = named.get("default")
    if not isinstance(given, str) or not given.strip():
        raise RecipeError("the tokenizer has no chat template", way_out="take an Instruct model")
    return given


def compiled(text: str) -> Template:
    """``text``, ready to be rendered.

    Raises:
        RecipeError: it is no template.
    """
    try:
        return _environment().from_string(text)
    except (TemplateError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise RecipeError(f"the chat template is none{f' (line {line})' if line else ''}: {error}") from error


def rendered(template: Template, messages: Sequence[Mapping[str, Any]], **values: Any) -> str:
    """``messages`` as the model reads them.

    Raises:
        RecipeError: the template refuses them, or fails.
    """
    try:
        return template.render(messages=list(messages), tools=None, documents=None, **values)
    except RecipeError:
        raise
    except Exception as error:  # it may do anything: divide by zero, call itself without end
        what = f"the model's chat template fails on a row: {type(error).__name__}: {str(error)[:200]}"
        raise RecipeError(what) from error


def _environment() -> ImmutableSandboxedEnvironment:
    def raise_exception(message: str) -> None:
        raise RecipeError(f"the model's chat template refuses a row: {message}")

    def tojson(value: Any, ensure_ascii: bool = False, **how: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **how)  # not Jinja's own, which writes for HTML

    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, "jinja2.ext.loopcontrols"]
    )
    made.filters["tojson"] = tojson
    made.globals |= {"raise_exception": raise_exception, "strftime_now": _OneDay.now().strftime}
    return made
