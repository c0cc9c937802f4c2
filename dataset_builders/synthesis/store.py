"""Every answer that was ever paid for, in one SQLite file (WAL): nothing is asked twice, whatever is killed.

An answer is keyed by its head (template, form, model and settings) and its seed row. A thread commits whatever has
come in, many answers at a time; whoever puts one waits for that commit, so that a kill loses requests in flight alone.
"""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from spine.atomic import require_free
from spine.errors import RecipeError
from spine.lock import locked
from spine.paths import shown

KEPT, AGAIN, REJECTED = 1, 2, 3  # AGAIN: it was sent back, and the second answer is not there yet
_SCHEMA, _VERSION = Path(__file__).with_name("store.sql"), 2
_PUT = """
INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (head, seed) DO UPDATE SET
  state = excluded.state, reason = excluded.reason, second = excluded.second, made = excluded.made,
  asked = asked + excluded.asked, answered = answered + excluded.answered, seconds = seconds + excluded.seconds
  WHERE state = 2 AND excluded.second <> ''
"""
_WAIT_SECONDS = 60  # for another process that writes
_CACHE_KIB = 32 * 1024  # both indexes of some 500,000 answers
_CHECKPOINT_PAGES = 8_000  # of 4 KiB in the WAL, until they are written to their places
_LEAST_BYTES = 64 * 2**20


class Head(NamedTuple):
    """What answers have in common. ``rules``: digest of the code that judged them last."""

    id: int
    dataset: str
    template: str
    model: str
    settings: str
    rules: str


class Record(NamedTuple):
    """An answer, as a row of the file.

    Attributes:
        seed: digest of what the model was given, 16 bytes.
        state: KEPT, AGAIN or REJECTED.
        reason: why it was sent back or rejected.
        row: the seed row, see ``choice.packed``.
        first, second: the answers as they came; ``second`` is empty unless the first was sent back.
        asked, answered: tokens, of both requests together.
        seconds: of waiting, likewise.
        made: seconds since 1970.
    """

    head: int
    seed: bytes
    state: int
    reason: str
    row: bytes
    first: str
    second: str
    asked: int
    answered: int
    seconds: float
    made: float


class Count(NamedTuple):
    """Of the answers of a head with the same state and reason.

    Attributes:
        twice: those of them that were sent back once.
        asked, answered: tokens.
        seconds: of waiting.
    """

    state: int
    reason: str
    answers: int
    twice: int
    asked: int
    answered: int
    seconds: float


class Store:
    """The file at ``path``; a context. ``max_bytes`` is for tests of a disk that fills."""

    def __init__(self, path: Path, max_bytes: int | None = None) -> None:
        self.path, self._max_bytes = path, max_bytes
        self._owner = f"{os.getpid()} {_started(os.getpid())}"
        self._waiting: queue.SimpleQueue[tuple[Record, Future[None]] | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None

    def __enter__(self) -> Store:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        require_free(self.path.parent, _LEAST_BYTES, "keeping answers")
        # One at a time: SQLite does not wait for another process that turns the same new file into a WAL file.
        with locked(self.path.parent, wait=True), _explained(self.path):
            self._reader = self._connect()
            version = self._reader.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise RecipeError(
                    f"was written by another version of this program ({version}, not {_VERSION})",
                    where=shown(self.path),
                    way_out="move it away, or name another file: RECIPE_SYNTHESIS=/folder",
                )
            self._reader.executescript(_SCHEMA.read_text(encoding="utf-8") + f"PRAGMA user_version = {_VERSION};")
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._waiting.put(None)
            self._writer.join()
        with locked(self.path.parent, wait=True), _explained(self.path):
            self._reader.execute("DELETE FROM claims WHERE owner = ?", (self._owner,))
            self._reader.close()

    # --- writing ----------------------------------------------------------------------------------------------------

    def put(self, record: Record) -> Future[None]:
        """Keeps an answer; it is safe from a kill when the future is done.

        Raises (the future): RecipeError: the disk is full or the file is damaged.
        """
        if self._writer is None:
            self._writer = threading.Thread(target=self._write, daemon=True)
            self._writer.start()
        done: Future[None] = Future()
        self._waiting.put((record, done))
        return done

    def _write(self) -> None:
        connection = self._connect()
        ended = False
        while not ended:
            batch = [self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get())
            ended = None in batch
            puts = [put for put in batch if put is not None]
            try:
                with _explained(self.path), _transaction(connection):
                    connection.executemany(_PUT, [record for record, _ in puts])
            except Exception as error:  # whoever waits raises it, unless it was cancelled
                for _, done in puts:
                    if done.set_running_or_notify_cancel():
                        done.set_exception(error)
            else:
                for _, done in puts:
                    if done.set_running_or_notify_cancel():
                        done.set_result(None)
        connection.close()

    def head(self, dataset: str, template: str, model: str, settings: str) -> Head:
        """The head of that name, made if it is new."""
        names = (dataset, template, model, settings)
        where = "dataset = ? AND template = ? AND model = ? AND settings = ?"
        with _explained(self.path), _transaction(self._reader) as connection:
            connection.execute(
                "INSERT OR IGNORE INTO heads (dataset, template, model, settings, rules) VALUES (?, ?, ?, ?, '')", names
            )
            return Head(*connection.execute(f"SELECT * FROM heads WHERE {where}", names).fetchone())

    def judged(self, head: Head, rules: str, changed: Iterable[tuple[int, str, bytes]]) -> None:
        """Notes what ``rules`` say now of answers: (state, reason, seed)."""
        with _explained(self.path), _transaction(self._reader) as connection:
            connection.executemany(
                f"UPDATE answers SET state = ?, reason = ? WHERE head = {head.id} AND seed = ?", changed
            )
            connection.execute("UPDATE heads SET rules = ? WHERE id = ?", (rules, head.id))

    def claim(self, head: Head, seeds: Sequence[bytes]) -> set[bytes]:
        """Those of ``seeds`` that this process may ask about: no other one that lives does, nor has in between."""
        with _explained(self.path), _transaction(self._reader) as connection:
            rows = [(head.id, seed, self._owner) for seed in seeds]
            connection.executemany("INSERT OR IGNORE INTO claims VALUES (?, ?, ?)", rows)
            if len(self._held(connection, head, seeds)) < len(seeds):  # another's, who is dead perhaps
                for (owner,) in connection.execute("SELECT DISTINCT owner FROM claims").fetchall():
                    if not _alive(owner):
                        connection.execute("UPDATE claims SET owner = ? WHERE owner = ?", (self._owner, owner))
            done = "SELECT 1 FROM answers WHERE head = ? AND seed = ? AND state <> 2"
            free = [seed for seed in seeds if not connection.execute(done, (head.id, seed)).fetchone()]
            return self._held(connection, head, free)

    def _held(self, connection: sqlite3.Connection, head: Head, seeds: Iterable[bytes]) -> set[bytes]:
        mine = "SELECT 1 FROM claims WHERE head = ? AND seed = ? AND owner = ?"
        return {seed for seed in seeds if connection.execute(mine, (head.id, seed, self._owner)).fetchone()}

    def prune(self, heads: Iterable[Head]) -> int:
        """Removes all answers of ``heads`` and gives the space back; how many they were."""
        with _explained(self.path):
            with _transaction(self._reader) as connection:
                removed = 0
                for head in heads:
                    removed += connection.execute("DELETE FROM answers WHERE head = ?", (head.id,)).rowcount
                    for place in ("claims WHERE head", "tallies WHERE head", "heads WHERE id"):
                        connection.execute(f"DELETE FROM {place} = ?", (head.id,))
            self._reader.execute("VACUUM")
        return removed

    # --- reading ----------------------------------------------------------------------------------------------------

    def heads(self) -> list[Head]:
        """All there are, by dataset; of one dataset the latest last."""
        return [Head(*row) for row in self._reader.execute("SELECT * FROM heads ORDER BY dataset, id")]

    def tally(self, head: Head) -> dict[int, int]:
        """State -> answers."""
        query = "SELECT state, sum(answers) FROM tallies WHERE head = ? GROUP BY state"
        return dict(self._reader.execute(query, (head.id,)))

    def settled(self, head: Head) -> bytes:
        """The seeds, 16 bytes each, that need not be asked about again; read from an index alone."""
        seeds = "SELECT seed FROM answers WHERE head = ? AND state IN (?, ?)"
        query = (
            f"SELECT ifnull(group_concat(hex(seed), ''), '') FROM ({seeds})"  # one long text is faster than many rows
        )
        return bytes.fromhex(self._reader.execute(query, (head.id, KEPT, REJECTED)).fetchone()[0])

    def get(self, head: Head, seed: bytes) -> Record | None:
        row = self._reader.execute("SELECT * FROM answers WHERE head = ? AND seed = ?", (head.id, seed)).fetchone()
        return None if row is None else Record(*row)

    def records(self, head: Head, state: int | None = None, most: int = -1) -> Iterator[Record]:
        """In the order of their seeds' digests, which has nothing to do with that of asking; ``most`` of them."""
        which = "" if state is None else f" AND state = {state}"
        query = f"SELECT * FROM answers WHERE head = ?{which} ORDER BY seed LIMIT ?"
        for row in self._reader.execute(query, (head.id, most)):
            yield Record(*row)

    def counts(self, head: Head) -> list[Count]:
        """By state and reason, the most common one first."""
        query = "SELECT * FROM tallies WHERE head = ? AND answers > 0 ORDER BY state, answers DESC"
        return [Count(*row) for _, *row in self._reader.execute(query, (head.id,))]

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        # Survives the death of the process at any moment; a power cut may cost the last commits, no more.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        if self._max_bytes is not None:
            page = connection.execute("PRAGMA page_size").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {self._max_bytes // page}")
        return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
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
def _explained(path: Path) -> Iterator[None]:
    """Turns what SQLite says about the file at ``path`` into a message with a way out."""
    try:
        yield
    except sqlite3.OperationalError as error:
        way_out = "see that the disk is not full, and run the same command again; what was kept is safe"
        raise RecipeError(f"cannot keep answers: {error}", where=shown(path), way_out=way_out) from error
    except sqlite3.DatabaseError as error:
        raise RecipeError(f"is no store of answers: {error}", where=shown(path), way_out="move it away") from error


def _started(pid: int) -> str:
    """When a process began, in clock ticks since boot; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _alive(owner: str) -> bool:
    """Whether the process ``pid started`` is there still; another one may have got its number."""
    pid, _, since = owner.partition(" ")
    return bool(since) and _started(int(pid)) == since
