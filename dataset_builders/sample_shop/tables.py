"""One file of the shop and its writers. Rows stream through; no writer holds more than a chunk of them."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from dataset_builders.sample_shop.catalogue import Catalogue
from dataset_builders.sample_shop.draws import Draw

CHUNK = 10_000  # rows between two reports of progress, and rows of a parquet row group
T = TypeVar("T")
Report = Callable[[int], None]  # told the rows written so far
encode = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Shop:
    """What every row follows from; ``products`` is the number of products on stock."""

    catalogue: Catalogue
    seed: int
    scale: float
    products: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "products", self.count(1_000, least=2 * len(self.catalogue.types)))

    def count(self, at_scale_1: int, least: int = 1) -> int:
        return max(least, round(at_scale_1 * self.scale))

    def any_of(self, kind: int, draw: Draw, *, percent: int = 100) -> int:
        """The index of a product on stock of that type, each equally likely; see ``words.stock``.

        ``percent``: of the type's products only so many, always the same: those that everybody reviews.
        """
        types = len(self.catalogue.types)
        own = (self.products - kind + types - 1) // types
        return kind + types * draw.below(max(1, own * percent // 100))


@dataclass(frozen=True, slots=True)
class Table:
    """A file to write: ``name`` relative to the shop's folder, ``total`` rows, and its writer."""

    name: str
    total: int
    rows: Iterable[Any]
    write: Callable[[Path, Iterable[Any], Report], int]


def chunks(rows: Iterable[T]) -> Iterator[list[T]]:
    stream = iter(rows)
    while chunk := list(islice(stream, CHUNK)):
        yield chunk


def write_csv(header: Sequence[str] | None) -> Callable[[Path, Iterable[Sequence[Any]], Report], int]:
    """A CSV as pandas and the MMLU authors write it: minimal quotes, ``\\n``, None is an empty field."""

    def write(path: Path, rows: Iterable[Sequence[Any]], report: Report) -> int:
        done = 0
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if header is not None:
                writer.writerow(header)
            for chunk in chunks(rows):
                writer.writerows(chunk)
                done += len(chunk)
                report(done)
        return done

    return write


def write_jsonl_gz(path: Path, rows: Iterable[Mapping[str, Any]], report: Report) -> int:
    """One JSON object a line, gzipped without a time or a name, so that equal rows give equal bytes."""
    done = 0
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as file:
        for chunk in chunks(rows):
            file.write(("\n".join(map(encode, chunk)) + "\n").encode())
            done += len(chunk)
            report(done)
    return done


def write_json_array(path: Path, rows: Iterable[Mapping[str, Any]], report: Report) -> int:
    """One JSON array, indented by four as the authors dump it.

    By hand, since ``json`` leaves its C encoder when it indents.
    """
    done = 0
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for chunk in chunks(rows):
            text = io.StringIO()
            for number, row in enumerate(chunk, start=done):
                fields = ",\n".join(f"        {encode(key)}: {encode(value)}" for key, value in row.items())
                text.write(f"{',' if number else ''}\n    {{\n{fields}\n    }}")
            file.write(text.getvalue())
            done += len(chunk)
            report(done)
        file.write("\n]\n")
    return done


def write_parquet(types: Mapping[str, str]) -> Callable[[Path, Iterable[Sequence[Any]], Report], int]:
    """A parquet file with these columns, "int64" or "string", one row group per chunk."""

    def write(path: Path, rows: Iterable[Sequence[Any]], report: Report) -> int:
        # By name, since pyarrow has no types for mypy; here, since it takes 0.2 s and most files need none.
        pa: Any = import_module("pyarrow")
        pq: Any = import_module("pyarrow.parquet")
        schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in types.items()])
        done = 0
        with pq.ParquetWriter(path, schema, compression="snappy") as writer:
            for chunk in chunks(rows):
                columns = zip(zip(*chunk, strict=True), schema, strict=True)
                arrays = [pa.array(column, field.type) for column, field in columns]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
                done += len(chunk)
                report(done)
        return done

    return write
