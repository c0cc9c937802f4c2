"""One file of the shop, and the formats. Rows stream through; no more than a chunk of them is held."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

from dataset_builders.sample_shop.catalogue import Catalogue
from dataset_builders.sample_shop.draws import Draw

CHUNK = 10_000  # rows between two reports of progress, and rows of a parquet row group
Report = Callable[[int], None]  # told the rows written so far
Put = Callable[[list[Any]], object]  # writes a chunk of rows
Open = Callable[[Path], AbstractContextManager[Put]]
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
    """A file to write: ``name`` relative to the shop's folder, ``total`` rows, and how it is opened."""

    name: str
    total: int
    rows: Iterable[Any]
    opened: Open

    def write(self, folder: Path, report: Report) -> int:
        """Its rows, a chunk at a time; how many they are."""
        path, done, rows = folder / self.name, 0, iter(self.rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.opened(path) as put:
            while chunk := list(islice(rows, CHUNK)):
                put(chunk)
                done += len(chunk)
                report(done)
        return done


@contextmanager
def csv_file(path: Path, header: Sequence[str] = ()) -> Iterator[Put]:
    """A CSV as pandas and the MMLU authors write it: minimal quotes, ``\n``, None is an empty field."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if header:
            writer.writerow(header)
        yield writer.writerows


@contextmanager
def jsonl_gz(path: Path) -> Iterator[Put]:
    """One JSON object a line, gzipped without a time or a name, so that equal rows give equal bytes."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as file:
        yield lambda chunk: file.write(("\n".join(map(encode, chunk)) + "\n").encode())


@contextmanager
def json_array(path: Path) -> Iterator[Put]:
    """One JSON array, indented by four as the authors dump it.

    By hand, since ``json`` leaves its C encoder when it indents.
    """
    with path.open("w", encoding="utf-8") as file:
        before = chain(["["], repeat(","))

        def put(chunk: list[dict[str, Any]]) -> None:
            for row in chunk:
                fields = ",\n".join(f"        {encode(key)}: {encode(value)}" for key, value in row.items())
                file.write(f"{next(before)}\n    {{\n{fields}\n    }}")

        yield put
        file.write("\n]\n")


@contextmanager
def parquet_file(path: Path, columns: Sequence[str], integers: Collection[str] = ()) -> Iterator[Put]:
    """A parquet file with these columns, texts but for the ``integers``; one row group per chunk."""
    # By name, since pyarrow has no types for mypy; here, since it takes 0.2 s and most files need none.
    pa: Any = import_module("pyarrow")
    pq: Any = import_module("pyarrow.parquet")
    schema = pa.schema([(name, pa.int64() if name in integers else pa.string()) for name in columns])
    with pq.ParquetWriter(path, schema, compression="snappy") as writer:

        def put(chunk: list[tuple[Any, ...]]) -> None:
            rows = zip(zip(*chunk, strict=True), schema, strict=True)
            arrays = [pa.array(column, field.type) for column, field in rows]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))

        yield put
