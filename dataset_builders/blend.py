"""The blend itself: build every dataset, hold rows out by entity, drop what does not fit, mix.

Everything is decided by hashes of (seed, task, entity), never by the order of files or workers: the same raw
files and the same seed give the same bytes.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from dataset_builders.chat import ChatTokenizer, messages
from dataset_builders.check import problem
from dataset_builders.task import Question, Seeded, Task, load_task
from recipe.apportion import apportion
from recipe.atomic import whole_file
from recipe.errors import RecipeError
from recipe.manifest import digest
from recipe.prompts import wordings

# An entity (product, query, review ...) is held out by its name alone: whatever the blend, seed or profile, no
# later round trains on what an earlier one is judged by.
_HELD_OUT = Seeded(0, "held-out entities")
HELD_OUT_SHARE = 0.05
# Candidates kept beyond the rows wanted, to stand in for duplicates and rows that are too long.
_SPARE = 2

Row = dict[str, Any]
Progress = Callable[[str, int, int], None]  # dataset, datasets done, datasets in all


@dataclass
class Counts:
    """What became of one dataset's questions. ``tokens``/``trained_tokens``: of each kept training row."""

    wanted: int = 0
    available: int = 0
    kept: int = 0
    held_out: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    tokens: list[int] = field(default_factory=list)
    trained_tokens: int = 0

    def drop(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


@dataclass(frozen=True)
class Limits:
    """``sequence_len`` in tokens; ``max_dropped`` the share of rows that may be lost for exceeding it."""

    sequence_len: int
    max_dropped: float


def mix(
    rows: Mapping[str, int],
    raw: Path,
    out: Path,
    tokenizer: ChatTokenizer,
    *,
    seed: int,
    val_rows: int,
    limits: Limits,
    progress: Progress = lambda name, done, total: None,
) -> dict[str, Counts]:
    """Writes ``out/train.parquet`` and ``out/val.parquet``; returns what became of each dataset.

    Columns: messages (list of {role, content}), task, task_type, source, track, entity, wording, truth (JSON, in
    ShopBench's output_field form), tokens, trained_tokens.

    Args:
        rows: wanted training rows by dataset.
        raw: the folder of the sources' published files.
        val_rows: held-out rows in all, in the same proportions.

    Raises:
        RecipeError: a raw file is missing or unreadable, a builder makes an unfit question, too many rows are
            too long, or a dataset is empty.
    """
    held_out = dict(zip(rows, apportion(list(rows.values()), val_rows), strict=True))
    counts = {name: Counts(wanted=wanted) for name, wanted in rows.items()}
    train: list[Row] = []
    val: list[Row] = []
    seen: set[str] = set()
    for done, name in enumerate(rows):
        progress(name, done, len(rows))
        task, count = load_task(name), counts[name]
        seeded = Seeded(seed, name)
        pools = _candidates(task, raw, seeded, {"train": rows[name], "val": held_out[name]}, count)
        kept = _fitting(task, pools["train"], rows[name], tokenizer, seeded, limits, seen, count)
        train += kept
        count.kept, count.tokens = len(kept), [row["tokens"] for row in kept]
        count.trained_tokens = sum(row["trained_tokens"] for row in kept)
        kept = _fitting(task, pools["val"], held_out[name], tokenizer, seeded, limits, seen, Counts())
        val += kept
        count.held_out = len(kept)
    progress("mixing", len(rows), len(rows))
    _refuse_losses(counts, limits)
    for side, found in (("train", train), ("val", val)):
        order = Seeded(seed, f"order of {side}")
        found.sort(key=lambda row: order.digest(f"{row['task']} {row['entity']} {row['messages'][1]['content']}"))
        write_rows(out / f"{side}.parquet", found)
    return counts


def _candidates(
    task: Task, raw: Path, seeded: Seeded, wanted: Mapping[str, int], count: Counts
) -> dict[str, list[Question]]:
    """The ``wanted`` questions (and some to spare) with the lowest hashes, per side; memory holds no more."""
    heaps: dict[str, list[tuple[int, int, Question]]] = {"train": [], "val": []}
    for number, question in enumerate(task.build(raw, seeded)):
        if reason := problem(task.type, question):
            raise RecipeError(
                f"'{task.name}' made an unfit question about {question.entity}: {reason}",
                way_out=f"mend dataset_builders/tasks/{task.name}.py, or the raw row it is made from",
            )
        side = "val" if _HELD_OUT.digest(question.entity) < HELD_OUT_SHARE * 2**64 else "train"
        count.available += side == "train"
        item = (-seeded.digest(f"{question.entity}\0{number}"), number, question)
        heap = heaps[side]
        if len(heap) < wanted[side] * _SPARE + 8:
            heapq.heappush(heap, item)
        else:
            heapq.heappushpop(heap, item)
    return {side: [question for _, _, question in sorted(heap, reverse=True)] for side, heap in heaps.items()}


def _fitting(
    task: Task,
    questions: list[Question],
    wanted: int,
    tokenizer: ChatTokenizer,
    seeded: Seeded,
    limits: Limits,
    seen: set[str],
    count: Counts,
) -> list[Row]:
    """The first ``wanted`` questions, worded, that are neither too long nor asked before."""
    kept: list[Row] = []
    waiting = iter(questions)
    # As many as are still missing are worded at a time: the spare ones cost nothing unless they are needed.
    while chunk := [_row(task, question, seeded) for question in islice(waiting, wanted - len(kept))]:
        lengths = tokenizer.lengths([row["messages"] for row in chunk])
        for row, (tokens, trained) in zip(chunk, lengths, strict=True):
            prompt = digest(row["messages"][1]["content"])
            if tokens > limits.sequence_len:
                count.drop("too long")
            elif prompt in seen:
                count.drop("duplicate")
            else:
                seen.add(prompt)
                kept.append({**row, "tokens": tokens, "trained_tokens": trained})
    return kept


def _row(task: Task, question: Question, seeded: Seeded) -> Row:
    names = wordings(task.name)
    wording = names[seeded.digest(f"wording {question.entity}") % len(names)]
    return {
        "messages": messages(task, wording, question),
        "task": task.name,
        "task_type": task.type.value,
        "source": task.source,
        "track": task.track,
        "entity": question.entity,
        "wording": wording,
        "truth": json.dumps(question.truth, ensure_ascii=False),
    }


def _refuse_losses(counts: Mapping[str, Counts], limits: Limits) -> None:
    too_long = {name: c.dropped["too long"] for name, c in counts.items() if c.dropped.get("too long")}
    looked_at = sum(c.kept + sum(c.dropped.values()) for c in counts.values())
    share = sum(too_long.values()) / max(1, looked_at)
    if share > limits.max_dropped:
        worst = ", ".join(f"{name} {number}" for name, number in sorted(too_long.items(), key=lambda x: -x[1])[:5])
        raise RecipeError(
            f"{sum(too_long.values()):,} of {looked_at:,} rows ({share:.1%}) are longer than sequence_len "
            f"{limits.sequence_len}; {limits.max_dropped:.1%} may be lost (most in: {worst})",
            way_out=f'SET="sequence_len={2 * limits.sequence_len}", or accept it: SET="max_dropped={share + 0.01:.2f}"',
        )
    empty = [name for name, count in counts.items() if not count.kept]
    if empty:
        raise RecipeError(
            f"no rows at all for {', '.join(empty)}",
            way_out="raise sequence_len if they were too long, check the raw files, or take them out of the blend",
        )


def write_rows(path: Path, rows: list[Row]) -> None:
    """One parquet file, whole or not at all."""
    import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
    import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]

    text, number = pa.string(), pa.int32()
    columns = {name: text for name in ("task", "task_type", "source", "entity", "wording", "truth")}
    turns = pa.list_(pa.struct({"role": text, "content": text}))
    schema = pa.schema({"messages": turns, **columns, "track": number, "tokens": number, "trained_tokens": number})
    with whole_file(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema), temporary, compression="zstd")


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file written by ``write_rows``."""
    import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            yield from batch.to_pylist()
