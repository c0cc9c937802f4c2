"""Which rows a blend takes of each dataset's pool, so that nothing that a held-out row shows is trained on.

Memory holds the numbers of one dataset's rows at a time, and no texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]
from numpy.typing import NDArray

from dataset_builders.held_out import only_tested
from dataset_builders.pools.build import Report
from dataset_builders.task import Origin

_NUMBERS = ("held_out", "prompt", "touches", "tokens", "trained_tokens", "copy", "task_type", *Origin._fields)
Bits = NDArray[np.uint64]


@dataclass
class Counts:
    """What became of one dataset. ``tokens``: of each kept training row; ``distinct``: kept rows but repetitions;
    ``llm_rows``: by an LLM, rows and distinct seed rows of each template and model; ``given``, ``apart``, ``rejected``:
    as in ``Report``."""

    given: int = 0
    apart: int = 0
    rejected: int = 0
    remarks: list[str] = field(default_factory=list)
    wanted: int = 0
    available: int = 0
    estimated: bool = False
    kept: int = 0
    distinct: int = 0
    held_out: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    tokens: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    trained_tokens: int = 0
    types: Counter[str] = field(default_factory=Counter)
    llm_rows: list[LlmRows] = field(default_factory=list)


class LlmRows(NamedTuple):
    template: str
    model: str
    rows: int
    seed_rows: int


@dataclass(frozen=True)
class Limits:
    """``sequence_len`` in tokens; ``max_dropped`` the share of rows that may be lost for exceeding it.

    ``leave_empty_out``: datasets without rows are no error, unless all are.
    """

    sequence_len: int
    max_dropped: float
    leave_empty_out: bool = False


@dataclass(frozen=True)
class Chosen:
    """The rows of a blend, by their places in the pools. ``short``: for datasets that have fewer than wanted although
    a larger pool would hold more, the rows of such a pool."""

    counts: dict[str, Counts]
    train: Mapping[str, NDArray[np.intp]]
    val: Mapping[str, NDArray[np.intp]]
    short: dict[str, int]


def choose(pools: Mapping[str, Path], wanted: Mapping[str, tuple[int, int]], limits: Limits) -> Chosen:
    """Which rows the blend takes, from the numbers of the pools alone.

    Args:
        pools: the folders that ``cache.ensure_pools`` gives.
        wanted: training rows and held-out rows by dataset.
    """
    seen: set[int] = set()
    val, train, short = {}, {}, {}
    counts = {name: Counts(wanted=wanted[name][0]) for name in pools}
    touched = [np.zeros(0, np.uint64)]
    # Twice through the pools, one in memory at a time: what held-out rows show may stand in no training row.
    for name, folder in pools.items():
        numbers = Numbers(folder)
        val[name] = numbers.held_out_rows(wanted[name][1], limits, seen)
        touched.append(numbers.touches_of(val[name]))
    shown = np.unique(np.concatenate(touched))
    for name, folder in pools.items():
        numbers, report, count = Numbers(folder), Report.read(folder / "report.json"), counts[name]
        count.available, count.estimated = report.available, report.estimated
        count.remarks = report.remarks
        count.given, count.apart, count.rejected = report.given, report.apart, len(report.rejected)
        count.dropped, count.held_out = report.dropped, len(val[name])
        train[name] = numbers.training_rows(wanted[name][0], limits, seen, shown, count)
        if count.kept < count.wanted and report.more:
            size = int((~numbers.is_held_out).sum())
            short[name] = int(size * count.wanted / max(1, count.kept) * 1.1) + 1
    return Chosen(counts, train, val, short)


class Numbers:
    """A pool without its texts: a value for each row, by columns.

    Attributes:
        touches: the 64 bits of the entities of all rows, one after the other; ``starts`` is where a row's begin.
        origin: template, model and seed row of each row that an LLM made, nulls for all others.
    """

    def __init__(self, folder: Path) -> None:
        table = pq.read_table(folder / "pool.parquet", columns=list(_NUMBERS)).combine_chunks()
        self.is_held_out: NDArray[np.bool_] = table["held_out"].to_numpy()
        self.prompt: Bits = table["prompt"].to_numpy()
        self.tokens: NDArray[np.int32] = table["tokens"].to_numpy()
        self.trained_tokens: NDArray[np.int32] = table["trained_tokens"].to_numpy()
        self.copy: NDArray[np.int32] = table["copy"].to_numpy()
        self.task_type: Sequence[str] = table["task_type"].to_pylist()
        touches = table["touches"].combine_chunks()
        self.touches: Bits = touches.values.to_numpy()
        self.starts: NDArray[np.int64] = touches.offsets.to_numpy()[:-1].astype(np.int64)
        self.origin = table.select(Origin._fields)

    def held_out_rows(self, wanted: int, limits: Limits, seen: set[int], *, test: bool = False) -> NDArray[np.intp]:
        """The first ``wanted`` rows of the held-out side that are short enough; their prompts are ``seen`` then.

        ``test``: of those about entities that only tests ask about, instead of the others.
        """
        is_test = only_tested(self.touches[self.starts])
        fits = self.is_held_out & (self.tokens <= limits.sequence_len) & (is_test == test)
        rows = np.flatnonzero(fits & self._new(seen))[:wanted]
        seen.update(self.prompt[rows].tolist())
        return rows

    def training_rows(
        self, wanted: int, limits: Limits, seen: set[int], shown: Bits, count: Counts
    ) -> NDArray[np.intp]:
        """The first ``wanted`` rows of the other side that are fit; those that were looked at and are not, counted."""
        is_shown = np.isin(self.touches, shown)
        faults = {
            "too long": self.tokens > limits.sequence_len,
            "shown in a held-out row": np.logical_or.reduceat(is_shown, self.starts) if len(self.starts) else is_shown,
            "in another dataset": ~self._new(seen) & (self.copy == 0),
        }
        side = ~self.is_held_out
        rows = np.flatnonzero(side & ~np.logical_or.reduce(list(faults.values())))[:wanted]
        looked_at = np.flatnonzero(side)
        if len(rows) == wanted:
            looked_at = looked_at[looked_at <= (rows[-1] if wanted else -1)]
        for reason, faulty in faults.items():
            count.dropped[reason] += int(faulty[looked_at].sum())
        seen.update(self.prompt[rows].tolist())
        count.kept, count.distinct = len(rows), int((self.copy[rows] == 0).sum())
        count.tokens, count.trained_tokens = self.tokens[rows], int(self.trained_tokens[rows].sum())
        count.types = Counter(self.task_type[row] for row in rows)
        origins = self.origin.take(pa.array(rows)).drop_null().group_by(["template", "model"])
        seeds = origins.aggregate([("seed_row", "count"), ("seed_row", "count_distinct")])
        count.llm_rows = sorted(LlmRows(*row.values()) for row in seeds.to_pylist())
        return rows

    def touches_of(self, rows: NDArray[np.intp]) -> Bits:
        """The entities that ``rows`` show."""
        ends = np.append(self.starts, len(self.touches))
        return np.concatenate([np.zeros(0, np.uint64), *(self.touches[ends[row] : ends[row + 1]] for row in rows)])

    def _new(self, seen: set[int]) -> NDArray[np.bool_]:
        return np.fromiter((prompt not in seen for prompt in self.prompt.tolist()), np.bool_, len(self.prompt))
