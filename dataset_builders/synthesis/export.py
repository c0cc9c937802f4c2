"""From answers to questions: judged by the present rules, and written to the files that the blend takes first."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]

from dataset_builders.llm_rows import SCHEMA, path_of
from dataset_builders.pools.choice import unpacked
from dataset_builders.synthesis.answers import judge, rules_digest
from dataset_builders.synthesis.declare import Synthesis, Unfit
from dataset_builders.synthesis.request import template_digest
from dataset_builders.synthesis.store import AGAIN, KEPT, REJECTED, Head, Record, Store
from dataset_builders.task import Question
from spine.atomic import whole_file

_ROWS = 4096
_TOLD = 1000  # answers between two signs of progress
Tell = Callable[[str, int, int], None]  # told the dataset, the answers of it that are judged, and how many there are


def silent(name: str, done: int, total: int) -> None:
    """Tells nobody."""


def current_heads(store: Store, synthesis: Synthesis, model: str | None = None) -> list[Head]:
    """Those whose template is the present one; the latest first."""
    template = template_digest(synthesis)
    heads = [head for head in store.heads() if head.dataset == synthesis.name and head.template == template]
    return [head for head in reversed(heads) if model in (None, head.model)]


def told(records: Iterator[Record], name: str, total: int, tell: Tell) -> Iterator[Record]:
    """The same, told of."""
    for number, record in enumerate(records, start=1):
        if number % _TOLD == 0:
            tell(name, number, total)
        yield record


def judge_anew(store: Store, head: Head, synthesis: Synthesis, tell: Tell = silent) -> int:
    """Judges what is stored by the present rules, if they are others; how many answers fare otherwise now."""
    rules = rules_digest(synthesis)
    if head.rules == rules:
        return 0
    changed = []
    for record in told(store.records(head), head.dataset, sum(store.tally(head).values()), tell):
        state, reason = _verdict(record, synthesis)
        if (state, reason) != (record.state, record.reason):
            changed.append((state, reason, record.seed))
    store.judged(head, rules, changed)
    return len(changed)


def questions_of(record: Record, synthesis: Synthesis) -> list[Question]:
    """What its last answer makes.

    Raises:
        Unfit: nothing, by the present rules.
    """
    return judge(synthesis, unpacked(record.row), record.second or record.first)


def _verdict(record: Record, synthesis: Synthesis) -> tuple[int, str]:
    try:
        questions_of(record, synthesis)
    except Unfit as unfit:
        return (REJECTED if record.second else AGAIN), unfit.reason
    return KEPT, ""


def export(store: Store, synthesis: Synthesis, folder: Path, model: str | None = None, tell: Tell = silent) -> int:
    """Writes the file of the dataset in ``folder``: the questions of every answer that is kept, of each seed row those
    of the latest model and settings. Without any, there is no file. How many they are."""
    path = path_of(folder, synthesis.name)
    heads = current_heads(store, synthesis, model)
    for head in heads:
        judge_anew(store, head, synthesis, tell)
    if not any(store.tally(head).get(KEPT) for head in heads):
        path.unlink(missing_ok=True)
        return 0
    seen: set[bytes] = set()
    number = 0
    with whole_file(path) as temporary, pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer:
        rows: list[dict[str, Any]] = []
        for head in heads:
            for record in told(store.records(head, KEPT), head.dataset, store.tally(head).get(KEPT, 0), tell):
                if record.seed not in seen:
                    seen.add(record.seed)
                    rows += _rows(record, head, synthesis)
                if len(rows) >= _ROWS:
                    writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
                    number, rows = number + len(rows), []
        writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
        number += len(rows)
    return number


def _rows(record: Record, head: Head, synthesis: Synthesis) -> Iterator[dict[str, Any]]:
    for question in questions_of(record, synthesis):
        yield {
            "dataset": synthesis.name,
            "entity": question.entity,
            "key": question.key,
            "also": list(question.also),
            "fields": json.dumps(question.fields, ensure_ascii=False),
            "truth": json.dumps(question.truth, ensure_ascii=False),
            "template": head.template,
            "model": head.model,
            "settings": head.settings,
            "seed": record.seed.hex(),
            "seed_row": record.row.decode(),
        }
