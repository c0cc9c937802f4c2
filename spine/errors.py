"""The one exception a user is meant to read: what is wrong, where, and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

from spine.paths import shown

STOPPED = 130  # the exit code after Ctrl-C, as shells have it


class RecipeError(Exception):
    """A failure that is explained, not traced.

    Args:
        what: one sentence that names the value at fault.
        where: ``file:line`` or a path, when the fault lies in a file.
        way_out: what to type or change, when that is known.
    """

    def __init__(self, what: str, *, where: str | None = None, way_out: str | None = None) -> None:
        self.what, self.where, self.way_out = what, where, way_out
        super().__init__(self.__str__())

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (self.what, self.where, self.way_out)  # a worker process raises it, this one shows it

    @classmethod
    def all_of(cls, faults: Sequence[RecipeError]) -> RecipeError:
        """Several mistakes as one error, so that nobody has to meet them one by one."""
        return faults[0] if len(faults) == 1 else cls("\n".join(str(fault) for fault in faults))

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  -> {self.way_out}" if self.way_out else text


def _again(what: str, where: str | None, way_out: str | None) -> RecipeError:
    return RecipeError(what, where=where, way_out=way_out)


def unreadable(path: Path, error: OSError) -> RecipeError:
    """What the system says of a file that was to be read: none, a folder, somebody else's."""
    what = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror or error}"
    return RecipeError(what, where=shown(path))


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A way out for a misspelt ``word``: the nearest of the ``known`` names, or the list if it is short."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.6)
    if near:
        return "did you mean " + " or ".join(f"'{name}'" for name in near) + "?"
    return "known: " + ", ".join(names) if 0 < len(names) <= 40 else None
