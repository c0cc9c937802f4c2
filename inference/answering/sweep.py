"""Several wise-ft weights through one loaded model: ``python -m inference.answering.sweep`` with jobs as JSON on stdin.

Each weight is an evaluation of its own, in the folder that ``recipe eval --alpha`` uses; a weight that is scored
already is not asked again, and the adapter is rescaled, never copied or merged.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from inference.answering.adapter import open_adapter
from inference.answering.engines.requests import requests_of
from inference.answering.evaluate import evaluate
from inference.answering.job import Job, explained, from_json, make_engine, selected
from inference.answering.rules import Mode, Rules
from spine.chat import ChatTokenizer


def run(jobs: Sequence[Job]) -> None:
    """Jobs that differ in their weight alone."""
    first = jobs[0]
    assert first.adapter is not None
    questions = selected(first)
    chat = ChatTokenizer.load(first.model)
    adapter = open_adapter(Path(first.adapter), Path(first.model))
    requests = requests_of(questions, Rules.of(first.model, chat), Mode(first.mode), first.max_length)
    loaded: list[Any] = []

    def engine(job: Job) -> Any:
        if not loaded:
            loaded.append(make_engine(job, chat, replace(adapter, alpha=job.alpha)))
        loaded[0].scale(job.alpha)
        return loaded[0]

    for job in jobs:
        print(f"weight {job.alpha:g}", file=sys.stderr, flush=True)
        if not job.step.is_done():
            evaluate(job.step, job.label, questions, requests, lambda job=job: engine(job))  # type: ignore[misc]


def best_weights(scores: dict[float, dict[str, Any]]) -> Iterator[tuple[str, float, dict[str, Any]]]:
    """For each track, and for all of them (``overall``): the weight with the best score, the smaller of equal ones.

    ``scores``: the content of ``scores.json`` by weight.
    """
    tracks = sorted({track for found in scores.values() for track in found["tracks"]})
    for track in (*tracks, "overall"):
        rows = {
            alpha: found["overall"] if track == "overall" else found["tracks"][track] for alpha, found in scores.items()
        }
        known = {alpha: row for alpha, row in rows.items() if row["score"] is not None}
        if known:
            best = min(known, key=lambda alpha: (-known[alpha]["score"], alpha))
            yield track, best, known[best]


if __name__ == "__main__":
    explained(lambda: run([from_json(json.dumps(job)) for job in json.load(sys.stdin)]))
