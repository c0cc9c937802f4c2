"""Everything that a data folder says about its rows: numbers, a picture, a card, and what was left out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset_builders.blend.mix import Counts
from dataset_builders.blend.picture import draw
from dataset_builders.blend.stats import beside_published, statistics, write_stats
from dataset_builders.pools.build import Pool, Report
from spine.atomic import write_text
from spine.paths import shown
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

    Returns the statistics.
    """
    found = statistics([pool.task for pool in pools], counts)
    write_stats(folder / "stats.json", found)
    draw(folder / "blend.png", name, found)
    # Datasets of one source meet the same bad rows: each is listed once.
    rejected = {place: what for report in reports.values() for place, what in report.rejected.items()}
    _write_lines(folder / "rejected.jsonl", ({"place": place, "problem": what} for place, what in rejected.items()))
    removed = [pair for report in reports.values() for pair in report.contaminated.items()]
    _write_lines(folder / "contaminated.jsonl", ({"question": what, "stands_in": where} for what, where in removed))
    lost = {"rejected": len(rejected), "contaminated": len(removed)}
    write_text(folder / "card.md", _card(name, why, pools, found, lost))
    return found


def _write_lines(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _card(name: str, why: str, pools: Sequence[Pool], found: Mapping[str, Any], lost: Mapping[str, int]) -> str:
    totals = found["totals"]
    evaluation = ", ".join(f"`{shown(path)}`" for path in pools[0].evaluation) or "none was given"
    parts = [
        f"# Blend {name}\n",
        *([f"{why[0].upper() + why[1:]}.\n"] if why else []),
        "![what the blend is made of](blend.png)\n",
        f"{totals['kept']:,} training rows of {totals['wanted']:,} wanted, {totals['held_out']:,} held out; "
        f"{totals['tokens']:,} tokens, of which {totals['trained_tokens']:,} carry loss. Built from raw files in the "
        f"published formats: {totals['kept'] - totals['made']:,} rows by rules, {totals['made']:,} by an LLM; the "
        "column LLM says how one may enhance a dataset.\n",
        "## Beside what is published of the winners' blend\n",
        _table(("", "ours", "published"), beside_published(found)),
        "## Datasets\n",
        _table(
            ("dataset", "what", "type", "source", "LLM", "wanted", "kept", "times asked", "p50", "p95", "max", "share"),
            (_line(pool, found["datasets"][pool.name], totals["kept"]) for pool in pools),
        ),
        *_made(found["datasets"]),
        "## What was left out\n",
        _table(("reason", "rows"), ((why, f"{number:,}") for why, number in totals["dropped"].items())),
        f"Rows of raw files that could not be read: {lost['rejected']:,} (`rejected.jsonl`). Questions that stand in "
        f"an evaluation file: {lost['contaminated']:,} (`contaminated.jsonl`; files: {evaluation}).\n",
        "## How the sides are split\n",
        "5% of all products, queries, sessions and reviews are held out by a hash of their names, in every blend the "
        "same. No training row shows an entity that a held-out row shows.\n",
        "## Licences\n",
        "The rows carry the terms of their sources; they are named in `docs/sources.md`.\n",
    ]
    return "\n".join(parts)


def _line(pool: Pool, row: Mapping[str, Any], total: int) -> tuple[str, ...]:
    kinds = ", ".join(TaskType(kind).short for kind in row["types"])
    numbers = (f"{row['wanted']:,}", f"{row['kept']:,}", f"{row['upsampled']:g}", *(str(row[key]) for key in _LENGTHS))
    llm = row["llm"] or "-"
    return (f"`{pool.name}`", pool.task.what, kinds, row["source"], llm, *numbers, f"{row['kept'] / max(1, total):.1%}")


def _made(datasets: Mapping[str, Any]) -> list[str]:
    """Where the rows come from that an LLM made; each of them names its template, model and seed row."""
    header = ("dataset", "way", "template", "model", "rows", "seed rows")
    lines = [
        (f"`{name}`", row["llm"] or "-", one["template"], one["model"], f"{one['rows']:,}", f"{one['seed_rows']:,}")
        for name, row in datasets.items()
        for one in row["made"]
    ]
    return ["## Made by an LLM\n", _table(header, lines)] if lines else []


_LENGTHS = ("p50", "p95", "max")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines) + "\n"
