"""One way to render Jinja everywhere: sandboxed, strict about undefined names, errors with file and line."""

from __future__ import annotations

import traceback
from functools import cache
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from spine.errors import RecipeError
from spine.paths import shown


@cache
def environment(folder: Path) -> ImmutableSandboxedEnvironment:
    """The environment for the templates of ``folder``; no access to Python internals, no silent blanks."""
    return ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def explained(error: TemplateError, folder: Path, name: str) -> RecipeError:
    """``error`` as a message that names the template's file and line."""
    if isinstance(error, TemplateSyntaxError):
        line = error.lineno
    else:  # Jinja rewrites tracebacks so that a template's frames carry its own file and line numbers
        frames = traceback.extract_tb(error.__traceback__)
        line = next((f.lineno for f in reversed(frames) if f.filename == str(folder / name) and f.lineno), 1)
    return RecipeError(f"{type(error).__name__}: {error.message}", where=f"{shown(folder / name)}:{line}")
