"""A model's shards, known by the sums of their pieces: written in any order, read side by side, and found by place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from spine.errors import RecipeError
from spine.paths import shown

SUMS = "checksums.json"  # by file: [first byte, bytes, xxh3 in hex] of every piece


class Piece(NamedTuple):
    """A stretch of a file: ``begin`` and ``size`` in bytes."""

    file: str
    begin: int
    size: int


def broken(folder: Path, on_bytes: Callable[[int, int], None] | None = None) -> list[Piece]:
    """The pieces that are not as ``checksums.json`` of their folder says.

    Args:
        on_bytes: is told the bytes read, and all that there are to read.

    Raises:
        RecipeError: it says nothing of the kind.
    """
    import xxhash

    try:
        known = json.loads((folder / SUMS).read_text(encoding="utf-8"))
        sums = [
            (Piece(str(name), int(begin), int(size)), str(digest))
            for name, seals in known.items()
            for begin, size, digest in seals
        ]
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RecipeError("is damaged: it holds no sums of pieces", where=shown(folder / SUMS)) from error
    total, done, bad = sum(piece.size for piece, _ in sums), 0, list[Piece]()

    def whole(piece: Piece, digest: str) -> bool:
        try:
            with (folder / Path(piece.file).name).open("rb") as handle:
                handle.seek(piece.begin)
                return xxhash.xxh3_64_hexdigest(handle.read(piece.size)) == digest
        except (OSError, ValueError):
            return False

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as executor:
        for (piece, _), good in zip(sums, executor.map(lambda one: whole(*one), sums), strict=True):
            bad += [] if good else [piece]
            done += piece.size
            if on_bytes:
                on_bytes(done, total)
    return bad
