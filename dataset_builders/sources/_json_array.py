"""Streams the elements of a JSON array that is too large to load: ECInstruct's is 527 MB."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from dataset_builders.sources._opening import TRUNCATED, damaged, open_bytes, place
from spine.errors import RecipeError

CHUNK = 1 << 20  # bytes read at a time
LONGEST = 1 << 24  # characters; an element that is not whole by then is taken for broken JSON
_SEPARATOR = re.compile(r"[ \t\r\n]*[,\]]")


def json_array(path: Path, chunk: int = CHUNK) -> Iterator[tuple[int, Any]]:
    """Elements of the array in ``path``, numbered from 1, with one chunk and one element in memory.

    Raises:
        RecipeError: not a JSON array, cut short, or not UTF-8; names the element.
    """
    with open_bytes(path) as file:
        window = _Window(path, file, chunk)
        window.expect("[")
        if window.token() == "]":
            return
        while True:
            yield window.number, window.value()
            window.number += 1
            if window.expect(",", "]") == "]":
                return


class _Window:
    """The part of a file that is in memory: ``text`` from position ``at`` on is still to be read."""

    def __init__(self, path: Path, file: IO[bytes], chunk: int) -> None:
        self.path, self.file, self.chunk = path, file, chunk
        self.text, self.at, self.number, self.ended = "", 0, 1, False
        self.utf8 = codecs.getincrementaldecoder("utf-8-sig")()
        self.decoder = json.JSONDecoder()

    def more(self, size: int) -> None:
        """Drops what was read and appends ``size`` bytes."""
        where = place(self.path, "row", self.number)
        try:
            data = self.file.read(size)
            self.text = self.text[self.at :] + self.utf8.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise RecipeError(f"not UTF-8: {error.reason}", where=where) from error
        except TRUNCATED as error:
            raise damaged(where, error) from error
        self.at, self.ended = 0, not data

    def token(self) -> str:
        """The next character that is no blank, left where it is; empty at the end of the file."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in " \t\r\n":
                self.at += 1
            if self.at < len(self.text) or self.ended:
                return self.text[self.at : self.at + 1]
            self.more(self.chunk)

    def expect(self, *tokens: str) -> str:
        """Reads one of ``tokens``."""
        found = self.token()
        if found not in tokens:
            wanted = " or ".join(repr(token) for token in tokens)
            raise self.broken(f"{wanted} was expected, not {found or 'the end of the file'!r}")
        self.at += 1
        return found

    def value(self) -> Any:
        """Reads one whole value; one that the window cuts short is tried again on a window twice as large."""
        size = self.chunk
        self.token()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.at)
                # `0` or `0.` at the end of the window may go on as `0.5`: the separator must be in it, too.
                if _SEPARATOR.match(self.text, end) or self.ended or end - self.at > LONGEST:
                    self.at = end
                    return value
            except (json.JSONDecodeError, RecursionError) as error:
                if self.ended or len(self.text) - self.at > LONGEST:
                    raise self.broken(str(error)) from error
            self.more(size)
            size *= 2

    def broken(self, what: str) -> RecipeError:
        return RecipeError(f"not a JSON array: {what}", where=place(self.path, "row", self.number))
