"""One evaluation as a program of the serve environment: ``python -m inference.job`` with the job as JSON on stdin.

Core's commands start it; its progress goes to stderr, its results into the job's folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inference.adapter import Adapter, open_adapter
from inference.engines.requests import Engine, requests_of
from inference.evaluate import Result, evaluate
from inference.questions import Question, read_questions
from inference.rules import Mode, Rules
from recipe.chat import ChatTokenizer
from recipe.errors import RecipeError
from recipe.manifest import Step
from recipe.paths import shown
from recipe.progress import timed

ENGINES = ("transformers", "vllm")


@dataclass(frozen=True)
class Job:
    """What is to be answered by what, and where the results go.

    Attributes:
        label: the model's name in tables.
        model, adapter, questions, folder: paths; ``adapter`` and ``alpha`` (the wise-ft weight) go together.
        max_length: tokens of prompt and answer together.
        dtype: of the weights; ``auto`` is the checkpoint's.
        gpus: over which vLLM splits the model.
        inputs: of the step (``recipe.manifest.Step``); ``inputs["answers"]`` is what the answers depend on.
    """

    label: str
    folder: str
    model: str
    questions: str
    inputs: dict[str, Any]
    adapter: str | None = None
    alpha: float = 1.0
    engine: str = "transformers"
    mode: str = "exact"
    limit: int | None = None
    tasks: tuple[str, ...] = ()
    max_length: int = 4096
    dtype: str = "auto"
    gpus: int = 0

    @property
    def step(self) -> Step:
        return Step(Path(self.folder), "eval", self.inputs)

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def from_json(text: str) -> Job:
    """The job that ``to_json`` wrote."""
    made = json.loads(text)
    return Job(**{**made, "tasks": tuple(made["tasks"])})


def selected(job: Job) -> list[Question]:
    """The job's questions; those without an answer cannot be scored and are refused."""
    questions = read_questions(Path(job.questions), limit=job.limit, tasks=job.tasks)
    unanswered = sum(question.truth is None for question in questions)
    if unanswered:
        raise RecipeError(
            f"{unanswered} of {len(questions)} questions have no output_field to score against",
            where=shown(Path(job.questions)),
        )
    return questions


def make_engine(job: Job, chat: ChatTokenizer, adapter: Adapter | None) -> Engine:
    """The job's engine, loaded."""
    model = Path(job.model)
    with timed(f"loading {shown(model)} with {job.engine}"):
        if job.engine == "vllm":
            from inference.engines.vllm import VllmEngine

            return VllmEngine(model, chat, adapter, max_length=job.max_length, dtype=job.dtype, gpus=job.gpus)
        from inference.engines.transformers import TransformersEngine

        return TransformersEngine(model, chat, adapter, dtype=job.dtype)


def run(job: Job) -> Result:
    """The whole evaluation."""
    questions = selected(job)
    chat = ChatTokenizer.load(job.model)
    adapter = open_adapter(Path(job.adapter), Path(job.model), job.alpha) if job.adapter else None
    requests = requests_of(questions, Rules.of(job.model, chat), Mode(job.mode), job.max_length)
    return evaluate(job.step, job.label, questions, requests, lambda: make_engine(job, chat, adapter))


def explained(work: Callable[[], object]) -> None:
    """A RecipeError is one message on stderr and exit code 3, so that core can tell it from a crash."""
    try:
        work()
    except RecipeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(3)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    explained(lambda: run(from_json(sys.stdin.read())))
