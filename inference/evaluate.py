"""Evaluations: questions answered, the answers scored: ``python -m inference.evaluate`` (``spine.child_job``).

Each leaves predictions, ``scores.json`` and the worst answers in its folder. Core's commands start it; its progress
goes to stderr. The evaluations of a list differ in their mixture alone: one loaded model answers them all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from inference.answering.answer import PREDICTIONS, Answerer, Setup, predict
from inference.answering.contest import BATCHES, ContestEngine
from inference.answering.engines.requests import Engine, Request
from inference.answering.questions import Question, read_questions
from inference.scoring.predictions import as_row
from inference.scoring.scores import SCORES, ScoredAnswer, score
from inference.scoring.time_limits import beside_the_limits
from spine.atomic import write_text
from spine.child_job import serve
from spine.errors import RecipeError
from spine.manifest import Step
from spine.mixture import Mixture
from spine.paths import shown

WORST = "worst.jsonl"
_WORST = 50


@dataclass(frozen=True, kw_only=True)
class Evaluation(Setup):
    """What is to be answered, and where the results go.

    Attributes:
        label: the model's name in tables.
        questions, folder: paths.
        inputs: of the step (``spine.manifest.Step``); ``inputs["answers"]`` is what the answers depend on.
        limit, tasks, tracks: which of the questions, see ``read_questions``.
        contest: in batches of 16, on the clock (``inference.answering.contest``).
    """

    label: str
    folder: str
    questions: str
    inputs: dict[str, Any]
    limit: int | None = None
    tasks: tuple[str, ...] = ()
    tracks: tuple[int, ...] = ()
    contest: bool = False

    @property
    def step(self) -> Step:
        return Step(Path(self.folder), "eval", self.inputs)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Evaluation:
        """From JSON."""
        mixture = Mixture.from_json(values["mixture"])
        return cls(**{**values, "mixture": mixture, "tasks": tuple(values["tasks"]), "tracks": tuple(values["tracks"])})


def run(evaluations: Sequence[Evaluation]) -> None:
    """Evaluations that differ in their mixture alone; one that is done already is not asked again.

    Raises:
        RecipeError: what ``read_questions`` and ``Answerer`` refuse; questions without an answer to score against.
    """
    first = evaluations[0]
    if others := {one.engine for one in evaluations} - {first.engine}:
        raise ValueError(f"one loaded model answers them all: by {first.engine}, or by {', '.join(others)}")
    questions = read_questions(Path(first.questions), limit=first.limit, tasks=first.tasks, tracks=first.tracks)
    if unanswered := sum(question.truth is None for question in questions):
        raise RecipeError(
            f"{unanswered} of {len(questions)} questions have no output_field to score against",
            where=shown(Path(first.questions)),
        )
    every = {part.folder: part for one in evaluations for part in one.mixture.parts}
    answerer = Answerer(replace(first, mixture=Mixture(tuple(every.values()))))
    requests = answerer.requests(questions)

    def engine(evaluation: Evaluation) -> Engine:
        loaded = answerer.engine(evaluation.mixture)
        return ContestEngine(Path(evaluation.folder), questions, answerer) if evaluation.contest else loaded

    for one in evaluations:
        if len(evaluations) > 1:
            print(one.label, file=sys.stderr, flush=True)
        if not one.step.is_done():
            evaluate(one.step, one.label, questions, requests, lambda one=one: engine(one), contest=one.contest)  # type: ignore[misc]


def evaluate(
    step: Step,
    label: str,
    questions: Sequence[Question],
    requests: Sequence[Request],
    make: Callable[[], Engine],
    *,
    contest: bool = False,
) -> None:
    """The whole step; its manifest is written last. ``contest``: ``make`` gives a ``ContestEngine``."""
    texts, asked, seconds = predict(step, requests, make)
    scores, answers, missing = score(questions, texts)
    rows = (as_row(request.index, answer) for request, answer in zip(requests, answers, strict=True))
    write_text(step.folder / PREDICTIONS, _lines(rows))
    facts: dict[str, Any] = {
        "questions": len(questions),
        "prompts_shortened": sum(request.dropped > 0 for request in requests),
        "seen_as_another_type": sum(question.asked.type is not question.type for question in questions),
    }
    content = {"model": label, **asdict(scores), "not_computed": missing, "facts": facts}
    if contest:
        content["contest"] = beside_the_limits(step.folder, questions)
    write_text(step.folder / SCORES, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    write_text(step.folder / WORST, _lines(worst(answers)))
    outputs = [PREDICTIONS, SCORES, WORST, *([BATCHES] if contest else [])]
    step.finish(outputs, **facts, asked=asked, seconds_answering=round(seconds, 2))


def _lines(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def worst(answers: Sequence[ScoredAnswer]) -> list[dict[str, Any]]:
    """The answers with the lowest scores, of each task in turn, so that no task fills the list."""
    tasks: dict[str, list[ScoredAnswer]] = {}
    known = [answer for answer in answers if answer.score is not None]
    for answer in sorted(known, key=lambda answer: answer.score or 0.0):
        tasks.setdefault(answer.question.task, []).append(answer)
    turns = (group[turn] for turn in range(_WORST) for group in tasks.values() if turn < len(group))
    return [
        {
            "task": answer.question.task,
            "metric": answer.question.metric,
            "score": answer.score,
            "prompt": answer.question.prompt,
            "truth": answer.question.truth,
            "answer": answer.text,
        }
        for answer, _ in zip(turns, range(_WORST), strict=False)
    ]


if __name__ == "__main__":
    from inference import evaluate as by_name  # under which Ray's workers import what they are given

    serve(lambda given, tell: by_name.run([by_name.Evaluation.of(values) for values in given]))
