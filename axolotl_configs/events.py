"""The events that ``RecipePlugin`` writes and ``recipe train`` reads while axolotl is at work: one JSON line each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

EVENTS = "events.jsonl"
Event = dict[str, Any]


def read_events(path: Path) -> Iterator[Event]:
    """All events of a run, over all its attempts."""
    if path.exists():
        yield from _parsed(path.read_bytes().split(b"\n"))


class Follower:
    """Reads the complete lines that are added to a growing file from now on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists():
            with path.open("ab") as handle:
                handle.write(b"\n")  # a killed writer may have left half a line, which the next must not join
        self._offset = path.stat().st_size if path.exists() else 0
        self._partial = b""

    def new(self) -> Iterator[Event]:
        """The events since the last call."""
        if not self.path.exists():
            return
        with self.path.open("rb") as handle:
            handle.seek(self._offset)
            chunk = handle.read()
        self._offset += len(chunk)
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        yield from _parsed(lines)


def _parsed(lines: Iterable[bytes]) -> Iterator[Event]:
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            continue  # blank, or cut off by a kill
