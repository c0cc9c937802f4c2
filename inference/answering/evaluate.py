"""Answers questions and scores the answers, in a folder: predictions as they come, then ``scores.json`` and a table.

An interrupted run goes on where it was; one with other questions, model, weight or rules begins anew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from inference.answering.contest import BATCHES
from inference.answering.contest import report as report_seconds
from inference.answering.engines.requests import Engine, Request
from inference.answering.questions import Question
from inference.scoring.baselines import constant_answers
from inference.scoring.predictions import PREDICTIONS, as_row
from inference.scoring.scores import Answered, Report, answered, report
from spine.atomic import disk_full_explained, write_text
from spine.manifest import NAME as MANIFEST
from spine.manifest import Step, digest
from spine.progress import Meter

SCORES, WORST, STARTED = "scores.json", "worst.jsonl", "started.json"
_WORST = 50
_FLUSH_SECONDS = 5.0


@dataclass(frozen=True)
class Result:
    """``seconds``: spent on answering, in this attempt; ``answered``: how many were answered in it."""

    report: Report
    scored: list[Answered]
    missing: dict[str, str]
    answered: int
    seconds: float


def predict(step: Step, requests: Sequence[Request], engine: Callable[[], Engine]) -> tuple[list[str], int, float]:
    """Answers all requests; those whose answer lies in the folder already are not asked again.

    Args:
        step: folder and inputs; answers depend on ``inputs["answers"]`` alone.
        requests: numbered from 0, without a gap.
        engine: makes the engine; not called when nothing is left to be asked.

    Returns:
        The answers in the requests' order, how many were asked, and in how many seconds.
    """
    known = _earlier(step, len(requests))
    left = [request for request in requests if request.index not in known]
    if not left:
        return [known[request.index] for request in requests], 0, 0.0
    ready = engine()
    began = time.monotonic()
    with disk_full_explained(step.folder), (step.folder / PREDICTIONS).open("a", encoding="utf-8") as file:
        for index, text in _shown(ready.generate(left), len(known), len(requests), file.flush):
            known[index] = text
            file.write(json.dumps({"index": index, "answer": text}, ensure_ascii=False) + "\n")
    return [known[request.index] for request in requests], len(left), time.monotonic() - began


def _shown(
    answers: Iterator[tuple[int, str]], done: int, total: int, flush: Callable[[], None]
) -> Iterator[tuple[int, str]]:
    """Passes answers on, with a progress line, and has them written now and then."""
    flushed = time.monotonic()
    with Meter("answering", "question") as meter:
        meter.update(done, total)
        for done, answer in enumerate(answers, start=done + 1):  # noqa: B020 - goes on counting
            yield answer
            meter.update(done, total)
            if time.monotonic() - flushed > _FLUSH_SECONDS:
                flush()
                flushed = time.monotonic()


def _earlier(step: Step, count: int) -> dict[int, str]:
    """The answers of an interrupted attempt at this very step; a line that was cut off is dropped."""
    step.folder.mkdir(parents=True, exist_ok=True)
    (step.folder / MANIFEST).unlink(missing_ok=True)  # of an earlier result, which is no more from here on
    path, started = step.folder / PREDICTIONS, step.folder / STARTED
    try:
        same = json.loads(started.read_text(encoding="utf-8"))["key"] == _answers_key(step)
    except (OSError, ValueError, KeyError):
        same = False
    found: dict[int, str] = {}
    if same and path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and row.get("index") in range(count):
                found[row["index"]] = row["answer"]
    rows = [json.dumps({"index": index, "answer": found[index]}, ensure_ascii=False) + "\n" for index in sorted(found)]
    write_text(path, "".join(rows))
    write_text(started, json.dumps({"key": _answers_key(step), "inputs": step.inputs}, default=str))
    return found


def _answers_key(step: Step) -> str:
    """Answers stay good when only what scores them has changed."""
    return digest(step.inputs["answers"])


def score(questions: Sequence[Question], texts: Sequence[str]) -> tuple[Report, list[Answered], dict[str, str]]:
    """The report, every scored answer, and the metrics that could not be computed with the reason."""
    scored, missing = answered(questions, texts)
    constants, _ = answered(questions, constant_answers(questions))
    return report(scored, constants, missing), scored, missing


def evaluate(
    step: Step,
    label: str,
    questions: Sequence[Question],
    requests: Sequence[Request],
    make: Callable[[], Engine],
    *,
    contest: bool = False,
) -> Result:
    """The whole step; its manifest is written last. ``contest``: ``make`` gives a ``ContestEngine``."""
    texts, asked, seconds = predict(step, requests, make)
    found, scored, missing = score(questions, texts)
    rows = (as_row(request.index, item) for request, item in zip(requests, scored, strict=True))
    write_text(step.folder / PREDICTIONS, _lines(rows))
    facts = facts_of(questions, requests)
    content = {"model": label, **found.as_json(), "not_computed": missing, "facts": facts}
    if contest:
        content["contest"] = report_seconds(step.folder, questions)
    write_text(step.folder / SCORES, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    write_text(step.folder / WORST, _lines(worst(scored)))
    rate: dict[str, Any] = {"asked": asked, "seconds_answering": round(seconds, 2)}
    step.finish([PREDICTIONS, SCORES, WORST, *([BATCHES] if contest else [])], **facts, **rate)
    return Result(found, scored, missing, asked, seconds)


def _lines(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def facts_of(questions: Sequence[Question], requests: Sequence[Request]) -> dict[str, Any]:
    """What a reader of the scores should know."""
    return {
        "questions": len(questions),
        "prompts_shortened": sum(request.dropped > 0 for request in requests),
        "seen_as_another_type": sum(question.asked.type is not question.type for question in questions),
    }


def worst(scored: Sequence[Answered]) -> list[dict[str, Any]]:
    """The answers with the lowest scores, of each task in turn, so that no task fills the list."""
    tasks: dict[str, list[Answered]] = {}
    for item in sorted((item for item in scored if item.score is not None), key=lambda item: item.score or 0.0):
        tasks.setdefault(item.question.task, []).append(item)
    turns = (group[turn] for turn in range(_WORST) for group in tasks.values() if turn < len(group))
    return [
        {
            "task": item.question.task,
            "metric": item.question.metric,
            "score": item.score,
            "prompt": item.question.prompt,
            "truth": item.question.truth,
            "answer": item.text,
        }
        for item, _ in zip(turns, range(_WORST), strict=False)
    ]
