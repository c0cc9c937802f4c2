"""One way to render Jinja everywhere - sandboxed, strict, errors with file and line - and the files under ``prompts/``.

No prompt text lives in Python. A task's prompt file holds several wordings, each a named block; a seed chooses.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, Template, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from spine.errors import RecipeError, did_you_mean
from spine.paths import PROMPTS, shown
from spine.task_types import TaskType


@cache
def environment(folder: Path) -> ImmutableSandboxedEnvironment:
    """The environment for the templates of ``folder``; no access to Python internals, no silent blanks."""
    return ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=lambda name: ".html." in (name or ""),
    )


def render(folder: Path, name: str, values: Mapping[str, Any], **filters: Callable[..., str]) -> str:
    """A template of ``folder``, filled in; ``filters``: that the folder's templates may use.

    Raises:
        RecipeError: a mistake in it, or a value that it lacks.
    """
    made = environment(folder)
    made.filters.update(filters)
    try:
        return made.get_template(name).render(values)
    except TemplateError as error:
        raise explained(error, folder, name) from error


def explained(error: Exception, folder: Path, name: str, fields: Iterable[str] = ()) -> RecipeError:
    """``error`` as a message that names the template's file and line, and of an unknown name the nearest field."""
    file, line = folder / name, 1
    if isinstance(error, TemplateSyntaxError):
        line = error.lineno
    else:  # Jinja rewrites tracebacks so that a template's frames carry its own file and line numbers
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.lineno and Path(frame.filename).is_relative_to(folder):
                file, line = Path(frame.filename), frame.lineno
    unknown = re.match(r"'(\w+)' is undefined", str(error))
    way_out = did_you_mean(unknown[1], fields) if unknown else None
    return RecipeError(f"{type(error).__name__}: {error}", where=f"{shown(file)}:{line}", way_out=way_out)


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
        RecipeError: a variable that the fields lack, an unsafe expression, or one that fails.
    """
    name = f"tasks/{task}.j2"
    template = _template(name)
    block = template.blocks[wording]
    try:
        # Running one parsed block instead of a whole template keeps this at tens of microseconds a row.
        return clean("".join(block(template.new_context(dict(fields)))))
    except Exception:
        try:
            template.environment.handle_exception()  # raises it with the template's own lines
        except Exception as error:
            raise explained(error, PROMPTS, name, fields) from error
