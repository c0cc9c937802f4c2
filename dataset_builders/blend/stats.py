"""What a blend has become, as numbers: per dataset, in all, and beside what is published of the winners'."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dataset_builders.blend.choose import Counts
from dataset_builders.task import Task
from spine.published import published_blend, published_shares
from spine.task_types import TaskType

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
_COUNTED = ("wanted", "kept", "held_out", "trained_tokens")  # of each dataset, and summed up
_OF_A_FILE = ("given", "apart", "distinct", "rejected")  # of the user's own
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
        **({name: getattr(count, name) for name in _OF_A_FILE} if count.given else {}),
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
        "published": published_shares(),
        "lengths": {"edges": edges.round(1).tolist(), "rows": bars.tolist()},
    }


def own_files(stats: Mapping[str, Any]) -> list[str]:
    """What became of the rows of each file of the user's own, in a sentence."""
    return [_of_a_file(name, row) for name, row in stats["datasets"].items() if "given" in row]


def _of_a_file(name: str, row: Described) -> str:
    trained, apart, given = row["distinct"], row["apart"], row["given"]
    each = f" {row['upsampled']:g} times each" if row["upsampled"] > 1 else ""
    told = (
        f"{name}: {given:,} given, {trained + apart:,} used: {trained:,} trained on{each}, {apart:,} kept to be asked"
    )
    if not (left := given - trained - apart):
        return told
    reasons = [reason for reason in REASONS if row["dropped"].get(reason)]
    reasons += ["cannot be read"] * bool(row["rejected"]) + ["more than were wanted"] * (row["kept"] == row["wanted"])
    return f"{told}; {left:,} left out ({', '.join(reasons)})"


def shares(datasets: Mapping[str, Described]) -> dict[str, dict[str, float]]:
    """Shares of the kept rows by task type, source, cluster, track, and by whether an LLM may enhance them.

    Source and cluster of a dataset are those of the winners' list; where it has none, its own and ``ours``.
    """
    listed = published_blend()
    by: dict[str, Counter[str]] = {what: Counter() for what in ("type", "source", "cluster", "track", "LLM")}
    for name, row in datasets.items():
        line = listed.get(name)
        for kind, number in row["types"].items():
            by["type"][TaskType(kind).short] += number
        by["source"][line.source if line else row["source"]] += row["kept"]
        by["cluster"][line.cluster if line else "ours"] += row["kept"]
        by["track"][f"track {row['track']}" if row["track"] else "none"] += row["kept"]
        by["LLM"][row["llm"] or "without"] += row["kept"]
    total = max(1, sum(by["source"].values()))
    return {
        what: {name: number / total for name, number in sorted(counted.items(), key=lambda item: -item[1])}
        for what, counted in by.items()
    }


def published_share(what: str, bar: str) -> float | None:
    """The winners' share of the rows that a bar of ``shares`` stands for; None where they have not published it."""
    percent = published_shares().get(what, {}).get(bar)
    return None if percent is None else percent / 100


def beside_published(stats: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(what, ours, published) for all that the winners have published of their blend; what only ours has, too."""
    ours, published = stats["shares"], published_shares()
    enhanced = 1 - published["LLM"]["without"] / 100
    kept, theirs = stats["totals"]["kept"], published_blend().values()
    lines = [
        ("datasets", f"{len(stats['datasets'])}", f"{len(theirs)}"),
        ("rows", f"{kept:,}", f"{sum(line.rows for line in theirs):,}"),
    ]
    for what in ("source", "type", "cluster"):
        for bar in published[what] | ours[what]:
            share = published_share(what, bar)
            lines.append(
                (f"{what}: {bar}", f"{ours[what].get(bar, 0.0):.1%}", "-" if share is None else f"{share:.1%}")
            )
    lines.append(("LLM", f"{1 - ours['LLM'].get('without', 0.0):.1%}", f"{enhanced:.1%}"))
    return [*lines, ("made by an LLM so far", f"{stats['totals']['made'] / max(1, kept):.1%}", f"{enhanced:.1%}")]


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
