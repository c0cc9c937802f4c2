"""Results as they were written: what is not finished or no longer whole is left out, and that is noted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from spine import manifest
from spine.errors import RecipeError
from spine.paths import shown

T = TypeVar("T")


class Reader:
    """Reads files of finished folders. ``notes``: what was left out, and why."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def read(self, folder: Path, name: str, how: Callable[[Path], T]) -> T | None:
        """``how`` applied to a file of a finished folder; None where there is none that is as it was written."""
        known = manifest.read(folder)
        if known is None or name not in known.get("outputs", {}):
            return None
        path = folder / name
        try:
            if not manifest.intact(path, known["outputs"][name]):
                raise ValueError("it is not as it was written")
            return how(path)
        except (RecipeError, OSError, ValueError, KeyError, TypeError) as error:
            what = error.what if isinstance(error, RecipeError) else error
            note = f"{shown(path)} is left out: {what}"
            self.notes += [note] * (note not in self.notes)
            return None

    def json(self, folder: Path, name: str) -> Any:
        """A JSON file of a finished folder, or None."""
        return self.read(folder, name, lambda path: json.loads(path.read_text(encoding="utf-8")))
