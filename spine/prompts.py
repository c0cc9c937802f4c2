"""Loads the Jinja files under ``prompts/``: no prompt text lives in Python.

A task's prompt file holds several wordings, each a named block; a seed chooses among them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Template, TemplateError

from spine.errors import RecipeError
from spine.jinja import environment, explained
from spine.paths import PROMPTS
from spine.task_types import TaskType

# `<|im_end|>` inside a title or a review would become a real control token when the chat template's
# output is tokenised. One space keeps it readable and makes it plain text, for ChatML and Llama alike.
_CONTROL = re.compile(r"<\|(?=[^\s|])")


def clean(text: str) -> str:
    """The winners' cleaning (no blanks before a newline, then strip), plus: no control tokens from data."""
    # Line by line: `[ \t]+\n` as a pattern takes minutes over a megabyte of blanks.
    return _CONTROL.sub("< |", "\n".join([line.rstrip(" \t") for line in text.split("\n")])).strip()


@cache
def _template(name: str) -> Template:
    try:
        return environment(PROMPTS).get_template(name)
    except TemplateError as error:
        raise explained(error, PROMPTS, name) from error


@cache
def system_prompt(task_type: TaskType) -> str:
    """`You are a helpful online shopping assistant. Your task is ...` (published by the winners)."""
    return _template("system.j2").render(task_type=task_type.phrase).strip()


@cache
def wordings(task: str) -> Sequence[str]:
    """Names of the wordings (Jinja blocks) in ``prompts/tasks/<task>.j2``, sorted."""
    names = sorted(_template(f"tasks/{task}.j2").blocks)
    if not names:
        raise RecipeError("holds no {% block %}: each wording is one block", where=f"prompts/tasks/{task}.j2")
    return names


def user_prompt(task: str, wording: str, fields: Mapping[str, Any]) -> str:
    """Renders one wording of a task with the question's fields.

    Raises:
        RecipeError: a variable that the fields lack, or an unsafe expression.
    """
    name = f"tasks/{task}.j2"
    template = _template(name)
    try:
        # Running one parsed block instead of a whole template keeps this at tens of microseconds a row.
        return clean("".join(template.blocks[wording](template.new_context(dict(fields)))))
    except TemplateError as error:
        raise explained(error, PROMPTS, name) from error
