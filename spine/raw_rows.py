"""The rows of published files as they stand there, in whatever form, packed or not; a place is told by line or row."""

from __future__ import annotations

import codecs
import csv
import gzip
import itertools
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, NamedTuple, cast

import orjson

from spine.errors import RecipeError, did_you_mean
from spine.paths import shown

RawRow = Mapping[str, Any]  # from column or key to value, as a file gives it
ENDINGS = ("csv", "csv.gz", "parquet", "jsonl", "jsonl.gz", "json", "json.gz")
_BATCH = 4096  # Parquet rows decoded at a time
_TRUNCATED = (EOFError, gzip.BadGzipFile, zlib.error)
# Letters: texts are longer than csv's 128 KiB; a quote that never closes should still stop soon.
_LONGEST_LINE = 64 * 2**20  # bytes, and of an element of a JSON array: a gzip file of 3 MB may hold one of 3 GB
_LONGEST_CELL = 1 << 24
_DEEPEST = 100  # levels of a JSON file
_LEVELS = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}
_PIECE = 4096  # bytes that ijson goes through before its events are looked at: brackets alone are then 40 MB of paths


class Unreadable(NamedTuple):
    """What stands in for a row that is no row. ``rows`` is how many lines were lost with it."""

    problem: str
    rows: int = 1


def raw_rows(
    path: Path, columns: Sequence[str] = (), optional: Sequence[str] = (), headerless: bool = False,
    without: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> tuple[Iterator[tuple[int, Any]], str]:  # fmt: skip
    """The numbered raw rows of ``path`` and what the numbers count: lines or rows, both from 1.

    Args:
        columns: what a table must have; of Parquet only they and the ``optional`` ones are read, or all without any.
        without: column -> values; Parquet's rows that have one of them are passed over before they are decoded.

    Raises:
        RecipeError: a kind of file that is not known, UTF-16; while reading, a file that is broken as a whole.
    """
    ending = path.name.removesuffix(".gz").rpartition(".")[2]
    if ending != "parquet":
        _refuse_utf16(path)
    if ending == "csv":
        return _csv(path, columns, headerless), "line"
    if ending == "jsonl":
        return _jsonl(path), "line"
    if ending == "parquet":
        return _parquet(path, columns, optional, without), "row"
    if ending == "json":  # an array, or lines under another name (ShopBench's development.json)
        lined = _beginning(path).lstrip().startswith(b"{")
        return (_jsonl(path), "line") if lined else (_json_array(path), "row")
    raise RecipeError("a file of an unknown kind (known: csv, parquet, jsonl, json)", where=shown(path))


def csv_records(path: Path) -> Iterator[tuple[int, list[str] | Unreadable]]:
    """Records of a CSV file, each with the number of its last line (a quoted field may hold line ends)."""
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader((line.decode("utf-8", "surrogateescape") for _, line in _lines(path)), strict=True)
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


def _csv(path: Path, columns: Sequence[str], headerless: bool) -> Iterator[tuple[int, RawRow | Unreadable]]:
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
        elif not is_utf8(record):
            yield number, Unreadable("not UTF-8")
        else:
            yield number, dict(zip(header, record, strict=True))
        before = number


def is_utf8(record: Sequence[str]) -> bool:
    """Whether no byte was let pass by ``surrogateescape``."""
    try:
        "".join(record).encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_utf16(path: Path) -> None:
    """Two bytes a letter, as Excel's "Unicode text": read as lines, every one of them would be garbage."""
    begins = _beginning(path)
    if begins.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in begins:
        way_out = f"iconv -f UTF-16 -t UTF-8 {path.name} > {path.with_stem(f'{path.stem}-utf8').name}"
        raise RecipeError("not UTF-8 but, as it looks, UTF-16", where=shown(path), way_out=way_out)


def _jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in _lines(path):
        if not line.isspace():
            yield number, _json_line(line)


def _json_array(path: Path) -> Iterator[tuple[int, Any]]:
    """The elements of an array that may be too large to load: ECInstruct's is 527 MB.

    Strictly JSON: NaN, or an integer beyond 64 bits, is told by its row and ends the reading.
    """
    import ijson

    number = 0
    if (first := _beginning(path).lstrip()[:1]) != b"[":
        begins = first.decode(errors="replace") or "the end of the file"
        raise RecipeError(f"not a JSON array: '[' was expected, not {begins!r}", where=place(path, "row", 1))
    try:
        with _open(path) as file:
            if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
                file.seek(0)
            bounded = _Bounded(file, ijson.JSONError)
            events = _shallow(ijson.parse(bounded, use_float=True, buf_size=_PIECE), ijson.JSONError)
            for number, element in enumerate(ijson.items(events, "item"), 1):
                bounded.read_of_element = 0
                yield number, element
    except ijson.JSONError as error:
        said = error.args[0] if isinstance(error.args[0], str) else error.args[0].decode(errors="replace")
        where = place(path, "row", number + 1)
        raise RecipeError(f"not a JSON array: {said.partition(chr(10))[0]}", where=where) from error
    except UnicodeDecodeError as error:
        what = r"not a JSON array: half a letter, as \ud83d without its other surrogate"
        raise RecipeError(what, where=place(path, "row", number + 1)) from error
    except _TRUNCATED as error:
        raise _damaged(place(path, "row", number + 1), error) from error


class _Bounded:
    """A file of which no element may take more than ``_LONGEST_LINE`` bytes: its parser keeps each whole."""

    def __init__(self, file: IO[bytes], refusal: type[Exception]) -> None:
        self._file, self._refusal, self.read_of_element = file, refusal, 0

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        self.read_of_element += len(chunk)
        if self.read_of_element > _LONGEST_LINE:
            raise self._refusal(f"an element of more than {_LONGEST_LINE >> 20} MiB")
        return chunk


def _shallow(events: Iterable[tuple[str, str, Any]], refusal: type[Exception]) -> Iterator[tuple[str, str, Any]]:
    """ijson keeps the path to each level anew: a file of 100 KB that is nothing but brackets would take gigabytes."""
    level = 0
    for event in events:
        if event[1] in _LEVELS:
            level += _LEVELS[event[1]]
            if level > _DEEPEST:
                raise refusal(f"more than {_DEEPEST} levels of lists and objects")
        yield event


def _json_line(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        pass
    try:
        value = json.loads(line.decode())  # takes NaN, which pandas writes
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        return Unreadable(f"not UTF-8: {error.reason}")
    except UnicodeEncodeError as error:
        return Unreadable(f"half a letter: {error.object[error.start]!r} stands without its other surrogate")
    except json.JSONDecodeError as error:
        return Unreadable(f"not JSON: {error.msg} (letter {error.pos + 1} of the line)")
    except (ValueError, RecursionError) as error:  # an integer of 5,000 digits
        return Unreadable(f"not JSON: {error}")
    return value


def _parquet(
    path: Path, columns: Sequence[str], optional: Sequence[str], without: Mapping[str, Sequence[str]]
) -> Iterator[tuple[int, RawRow]]:
    import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
    import pyarrow.compute as pc  # type: ignore[import-untyped,unused-ignore]
    import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]

    before = 0
    try:
        with pq.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow.names, columns)
            wanted = [*columns, *(name for name in optional if name in file.schema_arrow.names)]
            for batch in file.iter_batches(batch_size=_BATCH, columns=wanted or None):
                numbers = pa.array(range(before + 1, before + 1 + len(batch)))
                before += len(batch)
                for name, values in without.items():  # as text: of numbers, each row is told
                    kept = pc.invert(pc.is_in(batch[name].cast(pa.string()), pa.array(values, pa.string())))
                    batch, numbers = batch.filter(kept), numbers.filter(kept)
                yield from zip(numbers.to_pylist(), batch.to_pylist(), strict=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _damaged(place(path, "row", before + 1), error) from error


def _check_columns(path: Path, found: Sequence[str], wanted: Sequence[str]) -> None:
    for column in wanted:
        if column not in found:
            where, way_out = place(path, "line", 1), did_you_mean(column, found)
            raise RecipeError(f"lacks the column '{column}'", where=where, way_out=way_out)


def place(path: Path, unit: str, number: int) -> str:
    """``file:line`` as editors understand it, or ``file, row 7`` where a file has no lines."""
    return f"{shown(path)}:{number}" if unit == "line" else f"{shown(path)}, {unit} {number}"


def _damaged(where: str, error: BaseException) -> RecipeError:
    """A file that was cut short or is not what its ending says."""
    what = f"cannot be read on: {str(error).splitlines()[0]}"
    return RecipeError(what, where=where, way_out="fetch it again: it is cut short or damaged")


def _open(path: Path) -> IO[bytes]:
    """The plain bytes of ``path``; unpacked on the way where it ends in ``.gz``."""
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _beginning(path: Path) -> bytes:
    """The first 64 bytes, without a byte order mark."""
    with _open(path) as file:
        try:
            return file.read(64).removeprefix(codecs.BOM_UTF8)
        except _TRUNCATED as error:
            raise _damaged(place(path, "line", 1), error) from error


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines with their ends, as bytes: a line that is not UTF-8 is that line's trouble alone."""
    number = 0
    with _open(path) as file:
        try:
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), 1):
                if len(line) == _LONGEST_LINE:
                    raise RecipeError(
                        f"a line of more than {_LONGEST_LINE >> 20} MiB", where=place(path, "line", number)
                    )
                yield number, line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        except _TRUNCATED as error:
            raise _damaged(place(path, "line", number + 1), error) from error
