"""Opens published files, plain or packed, and names the places in them where something is wrong."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from spine.errors import RecipeError
from spine.paths import shown

TRUNCATED = (EOFError, gzip.BadGzipFile, zlib.error)


def place(path: Path, unit: str, number: int) -> str:
    """``file:line`` as editors understand it, or ``file, row 7`` where a file has no lines."""
    return f"{shown(path)}:{number}" if unit == "line" else f"{shown(path)}, {unit} {number}"


def damaged(where: str, error: BaseException) -> RecipeError:
    """A file that was cut short or is not what its ending says."""
    what = f"cannot be read on: {str(error).splitlines()[0]}"
    return RecipeError(what, where=where, way_out="fetch it again: it is cut short or damaged")


def open_bytes(path: Path) -> IO[bytes]:
    """The plain bytes of ``path``; unpacked on the way where it ends in ``.gz``."""
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def beginning(path: Path) -> bytes:
    """The first 64 bytes, without a byte order mark."""
    with open_bytes(path) as file:
        try:
            return file.read(64).removeprefix(codecs.BOM_UTF8)
        except TRUNCATED as error:
            raise damaged(place(path, "line", 1), error) from error


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines with their ends, as bytes: a line that is not UTF-8 is that line's trouble alone."""
    number = 0
    with open_bytes(path) as file:
        try:
            for number, line in enumerate(file, 1):
                yield number, line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        except TRUNCATED as error:
            raise damaged(place(path, "line", number + 1), error) from error
