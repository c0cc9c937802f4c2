"""Reads published files row by row; what cannot be read is left out, and named by file and line.

Every reader goes through ``read``: one row in memory at a time (Parquet: one batch), one place where a bad row
is rejected. A *row* here is a mapping from column or key to value, as the file gives it. A file that is broken
as a whole (cut short, a column missing) stops the build; nobody can tell what it would have held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from dataset_builders.published.sources import SOURCES
from dataset_builders.raw import RawData
from spine.errors import RecipeError
from spine.paths import shown
from spine.raw_rows import ENDINGS, RawRow, Unreadable, place, raw_rows

Row = TypeVar("Row")

_TABLES = (".csv", ".parquet")  # checked for their columns as a whole; a row of JSON has keys of its own


def find(folder: Path, stem: str) -> Path:
    """The file ``stem`` in ``folder``; mirrors differ in its ending."""
    return find_all(folder, stem)[0]


def find_all(folder: Path, pattern: str) -> list[Path]:
    """All files that match ``pattern`` and have one of the known endings, sorted; one of those that differ in it.

    Raises:
        RecipeError: there is none.
    """
    found: dict[str, Path] = {}
    for ending in ENDINGS:
        for path in folder.glob(f"{pattern}.{ending}"):
            found.setdefault(path.name.removesuffix(f".{ending}"), path)
    if found:
        return [found[stem] for stem in sorted(found)]
    endings = ", ".join(f".{ending}" for ending in ENDINGS)
    source = next((f"make fetch-{name}" for name in reversed(folder.parts) if name in SOURCES), "the source's files")
    way_out = f"DATA= holds a folder for each source: {source} fills this one; without DATA= it is the sample shop"
    raise RecipeError(f"no {pattern} here ({endings})", where=shown(folder), way_out=way_out)


def read(
    raw: RawData,
    path: Path,
    columns: Sequence[str],
    parse: Callable[[RawRow], Row | None],
    *,
    optional: Sequence[str] = (),
    headerless: bool = False,
    alone: bool = True,
    without: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Iterator[Row]:
    """Typed rows of a ``.csv``, ``.parquet``, ``.jsonl`` (each text form also ``.gz``) or ``.json`` array.

    Args:
        raw: is told of every row that cannot be read, and says how many may be left out.
        path: the file; its ending decides how it is read.
        columns: what every row must have; only these, and the ``optional`` ones it has, are decoded from Parquet.
        parse: makes a typed row; ``None`` leaves the row out, ``ValueError`` or ``TypeError`` rejects it.
        headerless: a CSV whose first record does not name the columns has them in the order of ``columns``.
        without: column -> values; rows with one of them may be passed over without a look at the rest of them.
        alone: whether one row can give a question; else they are counted where they have been put together.

    Raises:
        RecipeError: the file is broken or lacks a column, or too many rows were rejected.
    """
    rows = raw_rows(path, columns, optional, headerless, without)
    own_keys = () if path.name.removesuffix(".gz").endswith(_TABLES) else columns

    def whole(row: RawRow) -> Row | None:
        if missing := [column for column in own_keys if column not in row]:
            raise ValueError(f"it lacks {', '.join(missing)}")
        return parse(row)

    found = typed(raw, path, rows, whole if own_keys else parse)
    return raw.through(found) if alone else found


def typed(
    raw: RawData, path: Path, numbered: tuple[Iterator[tuple[int, Any]], str], parse: Callable[[RawRow], Row | None]
) -> Iterator[Row]:
    """``read`` of rows that are at hand: those of ``path`` with their numbers, and what these count."""
    rows, unit = numbered
    seen = rejected = 0
    for number, found in rows:
        seen += 1
        try:
            if isinstance(found, Unreadable):
                seen += found.rows - 1
                rejected += found.rows - 1
                raise ValueError(found.problem)
            if not isinstance(found, dict):
                raise TypeError(f"an object was expected, not {str(found)[:40]!r}")
            row = parse(found)
        except (ValueError, TypeError, RecursionError) as error:
            rejected += 1
            raw.reject(place(path, unit, number), str(error))
            raw.judge(path, rejected, seen, ended=False)
            continue
        if row is not None:
            yield row
    raw.judge(path, rejected, seen, ended=True)


def text(value: Any) -> str:
    """A text column: published nulls are empty texts for us; surrounding blanks never mean anything."""
    if isinstance(value, str):
        return value.strip()
    if value is not None:
        raise TypeError(f"a text was expected, not {value!r}")
    return ""


def known(value: Any, names: Sequence[str]) -> str:
    """A text column that must be one of ``names``."""
    if value in names:
        return str(value)
    if (found := text(value)) not in names:
        raise ValueError(f"'{found}' is none of {', '.join(names)}")
    return found
