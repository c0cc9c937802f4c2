"""The training rows as files: one schema, written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]

Row = dict[str, Any]

_TEXT, _NUMBER = pa.string(), pa.int32()
# What axolotl and people read. ``truth`` is JSON in ShopBench's output_field form; ``entities`` are what the row
# shows, its own first; ``copy`` is 0, or the how-manieth repetition of an upsampled row. ``template``, ``model`` and
# ``seed_row`` tell where a row comes from that an LLM made, and are null in all others.
SCHEMA = pa.schema(
    {
        "messages": pa.list_(pa.struct({"role": _TEXT, "content": _TEXT})),
        "task": _TEXT,
        "task_type": _TEXT,
        "source": _TEXT,
        "track": _NUMBER,
        "llm": _TEXT,
        "entities": pa.list_(_TEXT),
        "wording": _TEXT,
        "truth": _TEXT,
        "copy": _NUMBER,
        "tokens": _NUMBER,
        "trained_tokens": _NUMBER,
        "template": _TEXT,
        "model": _TEXT,
        "seed_row": _TEXT,
    }
)
# What mixing needs besides: the side of the split; the prompt and each of ``entities`` as 64 bits.
_MIXING = {"held_out": pa.bool_(), "prompt": pa.uint64(), "touches": pa.list_(pa.uint64())}
POOL_SCHEMA = pa.schema([*SCHEMA, *(pa.field(name, kind) for name, kind in _MIXING.items())])


def table(rows: Sequence[Row]) -> pa.Table:
    """Rows of a pool as one table."""
    return pa.Table.from_pylist(list(rows), POOL_SCHEMA)


def drawn(path: Path, number: int, seed: int, task: str | None = None) -> Iterator[tuple[int, Row]]:
    """``number`` rows of a Parquet file with their places, dataset by dataset: as many of each as of any other, where
    it has them, drawn at random. ``task``: of this dataset alone."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(pq.read_table(path, columns=["task"])["task"].to_pylist()):
        if task in (None, name):
            places.setdefault(name, []).append(place)
    random = Random(seed)
    turns = [random.sample(places[name], min(number, len(places[name]))) for name in sorted(places)]
    random.shuffle(turns)
    spread = (place for turn in zip_longest(*turns) for place in turn if place is not None)
    chosen = np.sort(np.fromiter(islice(spread, number), np.int64))
    rows: list[tuple[int, Row]] = []
    with pq.ParquetFile(path) as file:
        begins = 0
        for batch in file.iter_batches(batch_size=4096):
            here = chosen[(chosen >= begins) & (chosen < begins + len(batch))]
            rows += zip(here.tolist(), batch.take(pa.array(here - begins)).to_pylist(), strict=True)
            begins += len(batch)
    yield from sorted(rows, key=lambda row: (row[1]["task"], row[0]))


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a Parquet file, one at a time."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1024):
            yield from batch.to_pylist()
