"""Everything that a data folder says about its rows: numbers, a picture, a card, and what was left out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset_builders.blend.choose import Counts
from dataset_builders.blend.evaluation_files import COLUMNS, beside
from dataset_builders.blend.picture import draw
from dataset_builders.blend.stats import beside_published, own_files, statistics
from dataset_builders.pools.build import Pool, Report
from spine.atomic import write_text
from spine.paths import shown
from spine.prompts import render
from spine.task_types import TaskType


def describe(
    folder: Path,
    name: str,
    why: str,
    pools: Sequence[Pool],
    counts: Mapping[str, Counts],
    reports: Mapping[str, Report],
) -> dict[str, Any]:
    """Writes ``stats.json``, ``card.md``, ``blend.png``, and ``rejected.jsonl`` and ``contaminated.jsonl``.

    Where evaluation files are given, ``train.parquet`` lies there already and is compared with them.

    Returns the statistics.
    """
    stats = statistics([pool.task for pool in pools], counts)
    stats["beside"] = beside(folder / "train.parquet", pools[0].evaluation) if pools[0].evaluation else []
    write_text(folder / "stats.json", json.dumps(stats, indent=1) + "\n")
    draw(folder / "blend.png", name, stats)
    # Datasets of one source meet the same bad rows: each is listed once.
    rejected = {place: what for report in reports.values() for place, what in report.rejected.items()}
    _write_lines(folder / "rejected.jsonl", ({"place": place, "problem": what} for place, what in rejected.items()))
    removed = [pair for report in reports.values() for pair in report.contaminated.items()]
    _write_lines(folder / "contaminated.jsonl", ({"question": what, "stands_in": where} for what, where in removed))
    values = dict(
        name=name, why=why, totals=stats["totals"], datasets=stats["datasets"], beside=beside_published(stats),
        own=own_files(stats), columns=COLUMNS, likeness=stats["beside"],
        what={pool.name: pool.task.what for pool in pools}, evaluation=[shown(path) for path in pools[0].evaluation],
        rejected=len(rejected), contaminated=len(removed), short={kind: kind.short for kind in TaskType},
    )  # fmt: skip
    write_text(folder / "card.md", render(Path(__file__).parent, "card.md.j2", values))
    return stats


def _write_lines(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
