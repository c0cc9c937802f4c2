"""What the store needs of SQLite and of processes: whole transactions, errors that are explained, who is alive."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spine.errors import RecipeError
from spine.paths import shown


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of it, or nothing; others that write are waited for."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns what SQLite says about the file at ``path`` into a message with a way out."""
    try:
        yield
    except sqlite3.OperationalError as error:
        way_out = "see that the disk is not full, and run the same command again; what was kept is safe"
        raise RecipeError(f"cannot keep answers: {error}", where=shown(path), way_out=way_out) from error
    except sqlite3.DatabaseError as error:
        raise RecipeError(f"is no store of answers: {error}", where=shown(path), way_out="move it away") from error


def started(pid: int) -> str:
    """When a process began, in clock ticks since boot; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def alive(owner: str) -> bool:
    """Whether the process ``pid started`` is there still; another one may have got its number."""
    pid, _, since = owner.partition(" ")
    return bool(since) and started(int(pid)) == since
