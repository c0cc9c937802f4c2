"""What the store's file holds: its tables, and their rows."""

from __future__ import annotations

from typing import NamedTuple

KEPT, AGAIN, REJECTED = 1, 2, 3  # AGAIN: it was sent back, and the second answer is not there yet
VERSION = 2
# What answers come to is kept count of, so that nobody goes through half a million of them to know it.
_CAME = """INSERT INTO tallies VALUES
  (new.head, new.state, new.reason, 1, new.second <> '', new.asked, new.answered, new.seconds)
  ON CONFLICT DO UPDATE SET answers = answers + 1, twice = twice + excluded.twice, asked = asked + excluded.asked,
  answered = answered + excluded.answered, seconds = seconds + excluded.seconds;"""
_WENT = """UPDATE tallies SET answers = answers - 1, twice = twice - (old.second <> ''), asked = asked - old.asked,
  answered = answered - old.answered, seconds = seconds - old.seconds
  WHERE head = old.head AND state = old.state AND reason = old.reason;"""
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS heads (
  id INTEGER PRIMARY KEY, dataset TEXT NOT NULL, template TEXT NOT NULL, model TEXT NOT NULL, settings TEXT NOT NULL,
  rules TEXT NOT NULL, UNIQUE (dataset, template, model, settings));
CREATE TABLE IF NOT EXISTS answers (
  head INTEGER NOT NULL, seed BLOB NOT NULL, state INTEGER NOT NULL, reason TEXT NOT NULL, row BLOB NOT NULL,
  first TEXT NOT NULL, second TEXT NOT NULL, asked INTEGER NOT NULL, answered INTEGER NOT NULL, seconds REAL NOT NULL,
  made REAL NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS by_seed ON answers (head, seed);
CREATE INDEX IF NOT EXISTS by_state ON answers (head, state, seed);
CREATE TABLE IF NOT EXISTS claims (head INTEGER NOT NULL, seed BLOB NOT NULL, owner TEXT NOT NULL,
  PRIMARY KEY (head, seed)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tallies (head INTEGER NOT NULL, state INTEGER NOT NULL, reason TEXT NOT NULL,
  answers INTEGER NOT NULL, twice INTEGER NOT NULL, asked INTEGER NOT NULL, answered INTEGER NOT NULL,
  seconds REAL NOT NULL, PRIMARY KEY (head, state, reason)) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS came AFTER INSERT ON answers BEGIN {_CAME} END;
CREATE TRIGGER IF NOT EXISTS changed AFTER UPDATE ON answers BEGIN {_WENT} {_CAME} END;
CREATE TRIGGER IF NOT EXISTS went AFTER DELETE ON answers BEGIN {_WENT} END;
PRAGMA user_version = {VERSION};
"""
PUT = """
INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (head, seed) DO UPDATE SET
  state = excluded.state, reason = excluded.reason, second = excluded.second, made = excluded.made,
  asked = asked + excluded.asked, answered = answered + excluded.answered, seconds = seconds + excluded.seconds
  WHERE state = 2 AND excluded.second <> ''
"""


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
