"""One process at a time in a run folder."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spine.errors import RecipeError
from spine.paths import shown


@contextmanager
def locked(folder: Path, *, wait: bool = False) -> Iterator[int]:
    """Holds ``folder`` for this process; yields a file descriptor to pass on to children; may ``wait`` for another.

    The lock belongs to the open file, so a child that inherits the descriptor keeps the folder locked even
    if this process is killed, and the kernel releases it when the last holder dies: no stale locks.

    Raises:
        RecipeError: another process holds it; the message gives its pid. Or the lock is a link to another file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise RecipeError("is a link to another file", where=shown(folder / ".lock"), way_out="remove it") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            raise RecipeError(
                f"another run (pid {holder}) is at work in this folder",
                where=shown(folder),
                way_out=f"wait for it, or stop it (kill {holder}); with other settings (SET=...) a run has its own",
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield handle
    finally:
        os.close(handle)
