"""Reads published files row by row; what cannot be read is left out, and named by file and line.

Every reader goes through ``read``: one row in memory at a time (Parquet: one batch), one place where a bad row
is rejected. A *row* here is a mapping from column or key to value, as the file gives it. A file that is broken
as a whole (cut short, a column missing) stops the build; nobody can tell what it would have held.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import orjson

from dataset_builders.raw import RawData
from dataset_builders.sources._json_array import json_array
from dataset_builders.sources._opening import beginning, damaged, lines, place
from spine.errors import RecipeError, did_you_mean
from spine.paths import shown

Raw = Mapping[str, Any]
Row = TypeVar("Row")

ENDINGS = ("csv", "csv.gz", "parquet", "jsonl", "jsonl.gz", "json", "json.gz")
BATCH = 4096  # Parquet rows decoded at a time
# A description may be longer than csv's 128 KiB; a quote that never closes should still stop soon.
csv.field_size_limit(1 << 24)

_TABLES = (".csv", ".parquet")  # checked for their columns as a whole; a row of JSON has keys of its own
_HOW_TO_GET = "DATA=/folder is where the published files lie; `recipe sample-data` writes small ones"


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
    raise RecipeError(f"no {pattern} here ({endings})", where=shown(folder), way_out=_HOW_TO_GET)


def read(
    raw: RawData,
    path: Path,
    columns: Sequence[str],
    parse: Callable[[Raw], Row | None],
    *,
    optional: Sequence[str] = (),
    headerless: bool = False,
) -> Iterator[Row]:
    """Typed rows of a ``.csv``, ``.parquet``, ``.jsonl`` (each text form also ``.gz``) or ``.json`` array.

    Args:
        raw: is told of every row that cannot be read, and says how many may be left out.
        path: the file; its ending decides how it is read.
        columns: what every row must have; only these, and the ``optional`` ones it has, are decoded from Parquet.
        parse: makes a typed row; ``None`` leaves the row out, ``ValueError`` or ``TypeError`` rejects it.
        headerless: a CSV whose first record does not name the columns has them in the order of ``columns``.

    Raises:
        RecipeError: the file is broken or lacks a column, or too many rows were rejected.
    """
    rows, unit = _rows(path, columns, optional, headerless)
    own_keys = () if path.name.removesuffix(".gz").endswith(_TABLES) else columns
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
            if missing := [column for column in own_keys if column not in found]:
                raise ValueError(f"it lacks {', '.join(missing)}")
            row = parse(found)
        except (ValueError, TypeError, RecursionError) as error:
            rejected += 1
            raw.reject(place(path, unit, number), str(error))
            raw.judge(path, rejected, seen, ended=False)
            continue
        if row is not None:
            yield row
    raw.judge(path, rejected, seen, ended=True)


class Unreadable(NamedTuple):
    """What stands in for a row that is no row. ``rows`` is how many lines were lost with it."""

    problem: str
    rows: int = 1


def text(value: Any) -> str:
    """A text column: published nulls are empty texts for us; surrounding blanks never mean anything."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"a text was expected, not {value!r}")
    return value.strip()


def known(value: Any, names: Sequence[str]) -> str:
    """A text column that must be one of ``names``."""
    if (found := text(value)) not in names:
        raise ValueError(f"'{found}' is none of {', '.join(names)}")
    return found


def _rows(
    path: Path, columns: Sequence[str], optional: Sequence[str], headerless: bool
) -> tuple[Iterator[tuple[int, Any]], str]:
    """The numbered raw rows of ``path`` and what the numbers count: lines or rows, both from 1."""
    ending = path.name.removesuffix(".gz").rpartition(".")[2]
    if ending == "csv":
        return _csv(path, columns, headerless), "line"
    if ending == "jsonl":
        return _jsonl(path), "line"
    if ending == "parquet":
        return _parquet(path, columns, optional), "row"
    if ending == "json":  # an array, or lines under another name (ShopBench's development.json)
        lined = beginning(path).lstrip().startswith(b"{")
        return (_jsonl(path), "line") if lined else (json_array(path), "row")
    raise RecipeError("a file of an unknown kind (known: csv, parquet, jsonl, json)", where=shown(path))


def csv_records(path: Path) -> Iterator[tuple[int, list[str] | Unreadable]]:
    """Records of a CSV file, each with the number of its last line (a quoted field may hold line ends)."""
    reader = csv.reader((line.decode("utf-8", "surrogateescape") for _, line in lines(path)), strict=True)
    before = 0
    while True:
        try:
            record: list[str] | Unreadable = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # the reader goes on behind the line at which it gave up
            record = Unreadable(f"not a well-formed CSV: {error}", reader.line_num - before)
        if record:
            yield reader.line_num, record
        before = reader.line_num


def _csv(path: Path, columns: Sequence[str], headerless: bool) -> Iterator[tuple[int, Raw | Unreadable]]:
    records = csv_records(path)
    number, header = next(records, (1, []))
    if isinstance(header, Unreadable):
        raise RecipeError(header.problem, where=place(path, "line", number))
    if headerless and not set(columns) <= set(header):
        records, header = itertools.chain([(number, header)], records), list(columns)
    _check_columns(path, header, columns)
    before = number
    for number, record in records:
        if isinstance(record, Unreadable):
            yield number, record
        elif len(record) != len(header):
            # A quote that is never closed swallows lines up to the next quote: all of them are lost.
            yield number, Unreadable(f"{len(record)} fields where {len(header)} were expected", number - before)
        elif not _is_utf8(record):
            yield number, Unreadable("not UTF-8")
        else:
            yield number, dict(zip(header, record, strict=True))
        before = number


def _is_utf8(record: Sequence[str]) -> bool:
    """Whether no byte was let pass by ``surrogateescape``."""
    try:
        "".join(record).encode()
    except UnicodeEncodeError:
        return False
    return True


def _jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in lines(path):
        if not line.isspace():
            yield number, _json_line(line)


def _json_line(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(line)  # takes NaN, which pandas writes
    except UnicodeDecodeError as error:
        return Unreadable(f"not UTF-8: {error.reason}")
    except (json.JSONDecodeError, RecursionError) as error:
        return Unreadable(f"not JSON: {error}")


def _parquet(path: Path, columns: Sequence[str], optional: Sequence[str]) -> Iterator[tuple[int, Raw]]:
    import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
    import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow.names, columns)
            wanted = [*columns, *(name for name in optional if name in file.schema_arrow.names)]
            for batch in file.iter_batches(batch_size=BATCH, columns=wanted):
                names = batch.schema.names  # a file's own order, whatever was asked for
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    number += 1
                    yield number, dict(zip(names, values, strict=True))
    except (pa.ArrowException, OSError) as error:
        raise damaged(place(path, "row", number + 1), error) from error


def _check_columns(path: Path, found: Sequence[str], wanted: Sequence[str]) -> None:
    for column in wanted:
        if column not in found:
            where, way_out = place(path, "line", 1), did_you_mean(column, found)
            raise RecipeError(f"lacks the column '{column}'", where=where, way_out=way_out)
