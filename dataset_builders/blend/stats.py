"""What a blend has become, as numbers: per dataset, in all, and beside what is published of the winners'."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dataset_builders.blend.mix import Counts
from dataset_builders.task import Task
from spine.task_types import TaskType

# The winners' slides, KDD Cup 2024 (Team NVIDIA). What is left of 100% is retrieval, ranking and NER together.
PUBLISHED: Mapping[str, float] = {
    "datasets": 39,
    "rows": 500_000,
    "multiple choice": 0.61,
    "generation": 0.143,
    "retrieval, ranking, ner": 0.247,
    "LLM": 0.598,
}
# Why a question is not trained on, in the order in which it is asked.
REASONS = (
    "shows a held-out entity",
    "duplicate",
    "in an evaluation file",
    "near-duplicate",
    "too long",
    "shown in a held-out row",
    "in another dataset",
)
# Bars of ``shares`` whose share is published: (what, bar) -> key of PUBLISHED
_BARS = {("type", "mc"): "multiple choice", ("type", "gen"): "generation", ("LLM", "without"): "LLM"}
_COUNTED = ("wanted", "kept", "held_out", "trained_tokens")  # of each dataset, and summed up
_EDGES = 48  # bars of the length histogram
Described = dict[str, Any]


def describe(task: Task, count: Counts) -> Described:
    """One dataset: its facts, its counts, and its lengths as p50, p95 and maximum (tokens)."""
    lengths = np.percentile(count.tokens, (50, 95, 100)).round().astype(int).tolist() if count.kept else (0, 0, 0)
    return {
        "source": task.source,
        "track": task.track,
        "llm": task.llm,
        "types": dict(count.types),
        **{name: getattr(count, name) for name in ("available", "estimated", *_COUNTED)},
        "upsampled": round(count.kept / max(1, count.distinct), 2),
        "dropped": {reason: number for reason, number in count.dropped.items() if number},
        "tokens": int(count.tokens.sum()),
        **dict(zip(("p50", "p95", "max"), lengths, strict=True)),
        "made": [rows._asdict() for rows in count.llm_rows],
    }


def statistics(tasks: Iterable[Task], counts: Mapping[str, Counts]) -> dict[str, Any]:
    """The whole ``stats.json``: ``datasets``, ``totals``, ``shares`` (of kept rows) and ``lengths``."""
    datasets = {task.name: describe(task, counts[task.name]) for task in tasks}
    rows = datasets.values()
    lengths = np.concatenate([count.tokens for count in counts.values()])
    bars, edges = np.histogram(lengths, bins=min(_EDGES, max(1, int(lengths.max(initial=1)))))
    return {
        "datasets": datasets,
        "totals": {
            **{name: sum(row[name] for row in rows) for name in ("tokens", *_COUNTED)},
            "dropped": dict(sum((Counter(row["dropped"]) for row in rows), Counter())),
            "made": sum(made["rows"] for row in rows for made in row["made"]),
        },
        "shares": shares(datasets),
        "published": PUBLISHED,
        "lengths": {"edges": edges.round(1).tolist(), "rows": bars.tolist()},
    }


def shares(datasets: Mapping[str, Described]) -> dict[str, dict[str, float]]:
    """Shares of the kept rows by task type, source, track, and by whether an LLM may enhance them."""
    by: dict[str, Counter[str]] = {"type": Counter(), "source": Counter(), "track": Counter(), "LLM": Counter()}
    for row in datasets.values():
        for kind, number in row["types"].items():
            by["type"][TaskType(kind).short] += number
        by["source"][row["source"]] += row["kept"]
        by["track"][f"track {row['track']}" if row["track"] else "none"] += row["kept"]
        by["LLM"][row["llm"] or "without"] += row["kept"]
    total = max(1, sum(by["source"].values()))
    return {
        what: {name: number / total for name, number in sorted(counted.items(), key=lambda item: -item[1])}
        for what, counted in by.items()
    }


def published_share(what: str, bar: str) -> float | None:
    """The winners' share of the rows that a bar of ``shares`` stands for; None where they have not published it."""
    key = _BARS.get((what, bar))
    if key is None:
        return None
    return 1 - PUBLISHED[key] if bar == "without" else PUBLISHED[key]


def beside_published(stats: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(what, ours, published) for those proportions that the winners have published."""
    types, datasets = stats["shares"]["type"], stats["datasets"]
    ours = {
        "datasets": len(datasets),
        "rows": stats["totals"]["kept"],
        "multiple choice": types.get("mc", 0.0),
        "generation": types.get("gen", 0.0),
        "retrieval, ranking, ner": sum(types.get(kind, 0.0) for kind in ("retrieval", "ranking", "ner")),
        "LLM": 1 - stats["shares"]["LLM"].get("without", 0.0),
    }
    lines = [(what, _number(ours[what]), _number(published)) for what, published in PUBLISHED.items()]
    made = stats["totals"]["made"] / max(1, stats["totals"]["kept"])
    return [*lines, ("made by an LLM so far", _number(made), _number(PUBLISHED["LLM"]))]


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.1%}"


def read_stats(path: Path) -> dict[str, Any]:
    """The ``statistics`` of a finished blend, from its ``stats.json``."""
    stats: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return stats


def summary(stats: Mapping[str, Any]) -> str:
    """One line: rows, what was lost, tokens."""
    totals = stats["totals"]
    lost = ", ".join(f"{number:,} {reason}" for reason, number in totals["dropped"].items()) or "nothing"
    return (
        f"{totals['kept']:,} of {totals['wanted']:,} rows wanted, {totals['held_out']:,} held out; dropped: {lost}; "
        f"{totals['tokens']:,} tokens, {totals['trained_tokens']:,} of them trained on"
    )
