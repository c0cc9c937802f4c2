"""What a blend has become, as data and as a line of text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import quantiles
from typing import Any

from dataset_builders.blend import Counts
from recipe.atomic import write_text


def describe(count: Counts) -> dict[str, Any]:
    """A dataset's counts with its lengths as p50, p95 and maximum (tokens)."""
    lengths = sorted(count.tokens)
    cuts = quantiles(lengths, n=20, method="inclusive") if len(lengths) > 1 else lengths * 19
    found = {key: value for key, value in asdict(count).items() if key != "tokens"}
    return {
        **found,
        "tokens": sum(lengths),
        "p50": round(cuts[9]),
        "p95": round(cuts[18]),
        "max": lengths[-1],
    }


def write_stats(path: Path, counts: Mapping[str, Counts]) -> None:
    """One JSON object: ``describe`` of each dataset."""
    write_text(path, json.dumps({name: describe(count) for name, count in counts.items()}, indent=1) + "\n")


def read_stats(path: Path) -> dict[str, dict[str, Any]]:
    """What ``write_stats`` wrote."""
    found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def summary(counts: Mapping[str, Counts]) -> str:
    """One line: rows, what was lost, tokens."""
    kept = sum(count.kept for count in counts.values())
    wanted = sum(count.wanted for count in counts.values())
    held_out = sum(count.held_out for count in counts.values())
    reasons: dict[str, int] = {}
    for count in counts.values():
        for reason, number in count.dropped.items():
            reasons[reason] = reasons.get(reason, 0) + number
    lost = ", ".join(f"{number} {reason}" for reason, number in reasons.items()) or "nothing dropped"
    tokens = sum(sum(count.tokens) for count in counts.values())
    trained = sum(count.trained_tokens for count in counts.values())
    return (
        f"{kept:,} of {wanted:,} rows wanted, {held_out:,} held out, {lost}; "
        f"{tokens:,} tokens, {trained:,} of them trained on"
    )
