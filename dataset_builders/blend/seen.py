"""Which of somebody's evaluation questions a blend trains on: of the public exams, which it may hold whole (MMLU)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow.compute as pc  # type: ignore[import-untyped,unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]

EXAMS = "mmlu"  # the source
_LEAST = 4  # words by which a question is known
_LABEL = re.compile(r"(?:[A-Za-z ]{1,20}:|\d+[.)])\s+")  # how a line begins that is numbered or named


def trained_on(train: Path, prompts: Sequence[str]) -> int:
    """How many of ``prompts`` are trained on, in whatever words they are asked: their longest line is that of a row.

    Args:
        train: a blend's ``train.parquet``.
    """
    known: set[str] = set()
    with pq.ParquetFile(train) as file:
        for batch in file.iter_batches(columns=["messages", "source"]):
            rows = batch.filter(pc.equal(batch["source"], EXAMS))["messages"].to_pylist()
            known.update(bare for turns in rows for bare in _bare(turns[1]["content"].splitlines()))
    longest = (max(_bare(prompt.splitlines()), key=len, default="") for prompt in prompts)
    return sum(len(line.split()) >= _LEAST and line in known for line in longest)


def _bare(lines: Iterable[str]) -> list[str]:
    """Lines without their labels."""
    return [" ".join(_LABEL.sub("", line.strip(), count=1).split()).lower() for line in lines]
