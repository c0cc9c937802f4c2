"""Writes a blend: the rows that were chosen, mixed. And the questions that models are compared on, which are held-out
rows of the same pools.

Memory holds the texts of one dataset, or of one stretch of the result, at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]
from numpy.typing import NDArray

from dataset_builders.blend.choose import Bits, Chosen, Counts, Limits, Numbers
from dataset_builders.held_out import HELD_OUT_SEED, TEST
from dataset_builders.pools.rows import SCHEMA
from dataset_builders.task import Seeded
from spine.atomic import whole_file
from spine.errors import RecipeError

LEAVE_OUT = "empty_datasets=leave_out"  # of a profile, by SET
_STRETCH = 65_536  # rows of the result that are put in order at a time


def mix(pools: Mapping[str, Path], chosen: Chosen, out: Path, *, seed: int, limits: Limits) -> None:
    """Writes ``out/train.parquet`` and ``out/val.parquet`` (``rows.SCHEMA``).

    Raises:
        RecipeError: too many rows are too long, or a dataset is empty.
    """
    _refuse_losses(chosen.counts, limits)
    _write_sides(pools, {"train": chosen.train, "val": chosen.val}, out, seed)


def write_questions(
    pools: Mapping[str, Path], wanted: Mapping[str, int], limits: Limits, out: Path
) -> dict[str, dict[str, int]]:
    """Writes ``out/validation.parquet`` and ``out/test.parquet`` (``rows.SCHEMA``), which share no prompt.

    Args:
        pools: the folders that ``cache.ensure_pools`` gives.
        wanted: questions of each dataset, by side.

    Returns:
        How many there are, by side and dataset; fewer than wanted where fewer are held out.
    """
    seen: set[int] = set()
    numbers = {name: Numbers(folder) for name, folder in pools.items()}
    rows = {
        side: {name: pool.held_out_rows(count, limits, seen, test=side == TEST) for name, pool in numbers.items()}
        for side, count in wanted.items()
    }
    _write_sides(pools, rows, out, HELD_OUT_SEED)
    return {side: {name: len(places) for name, places in chosen.items()} for side, chosen in rows.items()}


def _refuse_losses(counts: Mapping[str, Counts], limits: Limits) -> None:
    too_long = {name: c.dropped["too long"] for name, c in counts.items() if c.dropped["too long"]}
    looked_at = sum(c.kept for c in counts.values()) + sum(too_long.values())
    share = sum(too_long.values()) / max(1, looked_at)
    if share > limits.max_dropped:
        worst = ", ".join(f"{name} {number}" for name, number in sorted(too_long.items(), key=lambda x: -x[1])[:5])
        raise RecipeError(
            f"{sum(too_long.values()):,} of {looked_at:,} rows ({share:.1%}) are longer than sequence_len "
            f"{limits.sequence_len}; {limits.max_dropped:.1%} may be lost (most in: {worst})",
            way_out=f'SET="sequence_len={2 * limits.sequence_len}", or accept it: SET="max_dropped={share + 0.01:.2f}"',
        )
    empty = [name for name, count in counts.items() if not count.kept]
    if empty and not (limits.leave_empty_out and len(empty) < len(counts)):
        of: dict[str, list[str]] = {}
        for name in empty:
            for cause in _causes(counts[name]):
                of.setdefault(cause, []).append(name)
        raise RecipeError(
            f"no rows at all for {', '.join(empty)}" + "".join(f"\n  {why}: {', '.join(of[why])}" for why in of),
            way_out="other raw files (docs/sources.md), a larger sequence_len, or a blend without them: "
            f'SET="{LEAVE_OUT}", or rows: 0 in its YAML',
        )


def _causes(count: Counts) -> list[str]:
    lost = [f"{number:,} {reason}" for reason, number in count.dropped.items() if number]
    return [*count.remarks, *lost] or ["the raw files hold no question"]


def _write_sides(
    pools: Mapping[str, Path], sides: Mapping[str, Mapping[str, NDArray[np.intp]]], out: Path, seed: int
) -> None:
    """Writes ``out/SIDE.parquet`` for each side: rows by dataset and by their places in the pools."""
    for side, rows in sides.items():
        key = Seeded(seed, f"order of {side}").digest("")
        _write_mixed(out / f"{side}.parquet", [_Part.of(folder, rows[name], key) for name, folder in pools.items()])


@dataclass(frozen=True)
class _Part:
    """Rows of one pool: which, by their places in it, and the 64 bits by which they are mixed."""

    pool: Path
    rows: NDArray[np.intp]
    bits: Bits

    @classmethod
    def of(cls, pool: Path, rows: NDArray[np.intp], key: int) -> _Part:
        """Another ``key``, another order."""
        table = pq.read_table(pool / "pool.parquet", columns=["prompt", "copy"])
        prompts, copies = (table[name].to_numpy()[rows] for name in ("prompt", "copy"))
        bits = (prompts ^ np.uint64(key)) + copies.astype(np.uint64)
        bits = (bits ^ (bits >> np.uint64(31))) * np.uint64(0x7FB5D329728EA185)
        return cls(pool, rows, bits ^ (bits >> np.uint64(27)))


def _write_mixed(path: Path, parts: Sequence[_Part]) -> None:
    """All rows in the order of their bits. What does not fit into one stretch goes through files beside ``path``."""
    bits = np.concatenate([part.bits for part in parts])
    place = np.empty(len(bits), np.int64)
    place[np.argsort(bits, kind="stable")] = np.arange(len(bits))
    stretches = [path.with_name(f".{path.name}.{n}.arrows") for n in range(-(-len(bits) // _STRETCH))]
    try:
        _deal(parts, place, stretches)
        with (
            whole_file(path) as temporary,
            pq.ParquetWriter(temporary, SCHEMA, compression="zstd", compression_level=1) as writer,
        ):
            for stretch in stretches:
                with pa.OSFile(str(stretch)) as file, pa.ipc.open_stream(file) as stream:
                    table = stream.read_all()
                order = np.argsort(table["place"].to_numpy())
                writer.write_table(table.drop_columns("place").take(pa.array(order)))
    finally:
        for stretch in stretches:
            stretch.unlink(missing_ok=True)


def _deal(parts: Sequence[_Part], place: NDArray[np.int64], stretches: Sequence[Path]) -> None:
    """Every row to the stretch of the result in which it will lie."""
    with ExitStack() as files:
        schema = pa.schema([*SCHEMA, pa.field("place", pa.int64())])
        writers = [files.enter_context(pa.ipc.new_stream(str(stretch), schema)) for stretch in stretches]
        ends = np.cumsum([len(part.rows) for part in parts])
        for part, places in zip(parts, np.split(place, ends[:-1]), strict=True):
            table = pq.read_table(part.pool / "pool.parquet", columns=SCHEMA.names).take(pa.array(part.rows))
            table = table.append_column(schema.field("place"), pa.array(places))
            for number, writer in enumerate(writers):
                writer.write_table(table.filter(pa.array(places // _STRETCH == number)))
