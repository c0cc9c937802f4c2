"""Reads published files row by row, and explains what is wrong with them by file and line.

Every reader goes through ``read``: one row in memory at a time (Parquet: one batch), one place where a bad
row is turned into a message. A *row* here is a mapping from column or key to value, as the file gives it.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from dataset_builders.sources._json_array import json_array
from dataset_builders.sources._opening import damaged, lines, place
from recipe.errors import RecipeError, did_you_mean
from recipe.paths import shown

Raw = Mapping[str, Any]
Row = TypeVar("Row")

BATCH = 4096  # Parquet rows decoded at a time
# A description may be longer than csv's 128 KiB; a quote that never closes should still stop soon.
csv.field_size_limit(1 << 24)

_HOW_TO_GET = "DATA=/folder is where the published files lie; `recipe sample-data` writes small ones"


def find(folder: Path, *names: str) -> Path:
    """The first of ``names`` (glob patterns allowed) that exists in ``folder``; mirrors differ in endings."""
    return find_all(folder, *names)[0]


def find_all(folder: Path, *names: str) -> list[Path]:
    """All files that match the first of ``names`` that matches any, sorted.

    Raises:
        RecipeError: none of them exists.
    """
    for name in names:
        if found := sorted(path for path in folder.glob(name) if path.is_file()):
            return found
    raise RecipeError(f"no {' or '.join(names)} here", where=shown(folder), way_out=_HOW_TO_GET)


def read(
    path: Path, columns: Sequence[str], parse: Callable[[Raw], Row | None], *, headerless: bool = False
) -> Iterator[Row]:
    """Typed rows of a ``.csv``, ``.parquet``, ``.jsonl`` (each text form also ``.gz``) or ``.json`` array.

    Args:
        path: the file; its ending decides how it is read.
        columns: what every row must have; only these are decoded from Parquet.
        parse: makes a typed row; ``None`` leaves the row out, ``ValueError`` or ``TypeError`` refuses it.
        headerless: a CSV whose first record does not name the columns has them in the order of ``columns``.

    Raises:
        RecipeError: the file is broken, lacks a column, or ``parse`` refused a row.
    """
    rows, unit = _rows(path, columns, headerless)
    for number, raw in rows:
        try:
            if not isinstance(raw, dict):
                raise TypeError(f"an object was expected, not {str(raw)[:40]!r}")
            if missing := [column for column in columns if column not in raw]:
                raise ValueError(f"it lacks {', '.join(missing)}")
            row = parse(raw)
        except (ValueError, TypeError) as error:
            where = place(path, unit, number)
            raise RecipeError(f"this row cannot be read: {error}", where=where) from error
        if row is not None:
            yield row


def text(value: Any) -> str:
    """A text column: published nulls are empty texts for us; surrounding blanks never mean anything."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"a text was expected, not {value!r}")
    return value.strip()


def _rows(path: Path, columns: Sequence[str], headerless: bool) -> tuple[Iterator[tuple[int, Any]], str]:
    """The numbered raw rows of ``path`` and what the numbers count: lines or rows, both from 1."""
    ending = path.name.removesuffix(".gz").rpartition(".")[2]
    if ending == "csv":
        return _csv(path, columns, headerless), "line"
    if ending == "jsonl":
        return _jsonl(path), "line"
    if ending == "parquet":
        return _parquet(path, columns), "row"
    if ending == "json":
        return json_array(path), "row"
    raise RecipeError("a file of an unknown kind (known: csv, parquet, jsonl, json)", where=shown(path))


def csv_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Records of a CSV file, each with the number of its last line (a quoted field may hold line ends)."""
    reader = csv.reader((line for _, line in lines(path)), strict=True)
    try:
        for record in reader:
            if record:
                yield reader.line_num, record
    except csv.Error as error:
        where = place(path, "line", reader.line_num)
        raise RecipeError(f"not a well-formed CSV: {error}", where=where) from error


def _csv(path: Path, columns: Sequence[str], headerless: bool) -> Iterator[tuple[int, Raw]]:
    records = csv_records(path)
    number, header = next(records, (1, []))
    if headerless and not set(columns) <= set(header):
        records, header = itertools.chain([(number, header)], records), list(columns)
    _check_columns(path, header, columns)
    for number, record in records:
        if len(record) != len(header):
            what = f"{len(record)} fields where {len(header)} were expected"
            raise RecipeError(what, where=place(path, "line", number))
        yield number, dict(zip(header, record, strict=True))


def _jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in lines(path):
        if not line.isspace():
            try:
                yield number, json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                raise RecipeError(f"not JSON: {error}", where=place(path, "line", number)) from error


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Raw]]:
    import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
    import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow.names, columns)
            for batch in file.iter_batches(batch_size=BATCH, columns=list(columns)):
                for raw in batch.to_pylist():
                    number += 1
                    yield number, raw
    except (pa.ArrowException, OSError) as error:
        raise damaged(place(path, "row", number + 1), error) from error


def _check_columns(path: Path, found: Sequence[str], wanted: Sequence[str]) -> None:
    for column in wanted:
        if column not in found:
            where, way_out = place(path, "line", 1), did_you_mean(column, found)
            raise RecipeError(f"lacks the column '{column}'", where=where, way_out=way_out)
