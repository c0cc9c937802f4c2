"""Files that are either whole or not there."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spine.errors import RecipeError
from spine.paths import shown

# What a disk without room answers: none is left, none is left for this user, or a file may not be so large.
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def disk_full_explained(path: Path) -> Iterator[None]:
    """Turns 'no space left' into a message that names the disk and says how much is free."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise RecipeError(
            f"cannot write: {os.strerror(error.errno)} ({free_gib(path):.1f} GiB free)",
            where=shown(path),
            way_out="free some space and run the same command again; nothing half-written was kept",
        ) from error


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a temporary name beside ``path``; renames it there, synced, when the block ends well.

    What is there and no file, a pipe or /dev/null, is written to itself: root would replace it.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with disk_full_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder beside ``path``; renames it there when the block ends well.

    An older ``path`` is replaced, and of a link what it points to (a bigger disk); a killed attempt's leftovers are
    removed by the next one.
    """
    path = path.resolve() if path.is_symlink() else path
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with disk_full_explained(path):
        temporary.mkdir(parents=True)
        try:
            yield temporary
            if path.exists():
                shutil.rmtree(path)
            temporary.rename(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Writes ``path`` whole."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def require_free(
    folder: Path,
    needed_bytes: float,
    purpose: str,
    elsewhere: str = "put the runs elsewhere: RECIPE_RUNS=/disk make",
) -> None:
    """Refuses before work begins when ``folder``'s disk cannot hold what the step will write.

    Args:
        elsewhere: how to have it written to another disk.
    """
    if free_gib(folder) * 2**30 < needed_bytes:
        raise RecipeError(
            f"{purpose} needs about {needed_bytes / 2**30:.1f} GiB, {free_gib(folder):.1f} GiB are free",
            where=shown(folder),
            way_out=f"free some space, or {elsewhere} ...",
        )


def free_gib(path: Path) -> float:
    """Of the disk on which ``path`` is, or would be."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free / 2**30
