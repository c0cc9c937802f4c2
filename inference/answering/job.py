"""One evaluation, in the serve environment: ``python -m inference.answering.job`` with the job as JSON on stdin.

Core's commands start it; its progress goes to stderr, its results into the job's folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from inference.answering.adapter import Adapter, open_adapter
from inference.answering.answerer import Answerer
from inference.answering.contest import ContestEngine
from inference.answering.engines.requests import Engine, requests_of
from inference.answering.evaluate import Result, evaluate
from inference.answering.questions import Question, read_questions
from inference.answering.rules import Mode, Rules
from spine.chat import ChatTokenizer
from spine.errors import RecipeError
from spine.manifest import Step
from spine.models import model_files
from spine.paths import shown
from spine.progress import timed

ENGINES = ("transformers", "vllm")
LONGEST = 4096  # tokens of prompt and answer; ShopBench's longest prompts are half of it
SHORTEST = 512  # system prompt and chat template are 50, and the permutation of a list of 100 is 300


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What answers, and how.

    Attributes:
        model, adapter: folders; ``adapter`` and ``alpha`` (the wise-ft weight) go together.
        max_length: tokens of prompt and answer together.
        dtype: of the weights; ``auto`` is the checkpoint's.
        gpus: over which vLLM splits the model; None: on Ray, over all that a node has.
        workers: on Ray, 0 for as many as there is room for; None: here, without Ray.
    """

    model: str
    adapter: str | None = None
    alpha: float = 1.0
    engine: str = "transformers"
    mode: str = "exact"
    max_length: int = LONGEST
    dtype: str = "auto"
    gpus: int | None = 0
    workers: int | None = None


@dataclass(frozen=True, kw_only=True)
class Job(Setup):
    """What is to be answered, and where the results go.

    Attributes:
        label: the model's name in tables.
        questions, folder: paths.
        inputs: of the step (``spine.manifest.Step``); ``inputs["answers"]`` is what the answers depend on.
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

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def from_json(text: str) -> Job:
    """The job that ``to_json`` wrote."""
    made = json.loads(text)
    return Job(**{**made, "tasks": tuple(made["tasks"]), "tracks": tuple(made["tracks"])})


def selected(job: Job) -> list[Question]:
    """The job's questions; those without an answer cannot be scored and are refused."""
    questions = read_questions(Path(job.questions), limit=job.limit, tasks=job.tasks, tracks=job.tracks)
    unanswered = sum(question.truth is None for question in questions)
    if unanswered:
        raise RecipeError(
            f"{unanswered} of {len(questions)} questions have no output_field to score against",
            where=shown(Path(job.questions)),
        )
    return questions


def longest(model: str, wanted: int | None) -> int:
    """Tokens of prompt and answer together: ``wanted`` or ``LONGEST``, but no more than the model was made for.

    Raises:
        RecipeError: it was made for fewer than ``SHORTEST``.
    """
    file = model_files(model, ["config.json"])["config.json"]
    most = int(json.loads(file.read_text(encoding="utf-8")).get("max_position_embeddings") or LONGEST)
    if most < SHORTEST:
        raise RecipeError(f"max_position_embeddings is {most}; a question needs {SHORTEST} tokens", where=shown(file))
    return min(wanted or LONGEST, most)


def make_engine(setup: Setup, chat: ChatTokenizer, adapter: Adapter | None) -> Engine:
    """The engine, loaded; one on Ray loads when it is asked."""
    if setup.workers is not None:
        from inference.answering.engines.ray import RayEngine

        return RayEngine(partial(in_a_worker, setup), setup.workers, setup.gpus, setup.alpha)
    model = Path(setup.model)
    with timed(f"loading {shown(model)} with {setup.engine}"):
        if setup.engine == "vllm":
            from inference.answering.engines.vllm import VllmEngine

            gpus = setup.gpus or 0
            return VllmEngine(model, chat, adapter, max_length=setup.max_length, dtype=setup.dtype, gpus=gpus)
        from inference.answering.engines.transformers import TransformersEngine

        return TransformersEngine(model, chat, adapter, dtype=setup.dtype)


def in_a_worker(setup: Setup, gpus: int, alpha: float) -> Engine:
    """The engine that ``setup`` asks for on Ray, loaded in one of the workers: all is read where the worker is."""
    here = replace(setup, workers=None, gpus=gpus, alpha=alpha)
    rules, adapter = opened(here)
    return make_engine(here, rules.chat, adapter)


def opened(setup: Setup) -> tuple[Rules, Adapter | None]:
    """What is read of the model before it is loaded.

    Raises:
        RecipeError: its tokenizer or the adapter will not do.
    """
    chat = ChatTokenizer.load(setup.model)
    adapter = open_adapter(Path(setup.adapter), Path(setup.model), setup.alpha) if setup.adapter else None
    return Rules.of(setup.model, chat), adapter


def make_answerer(setup: Setup) -> Answerer:
    """The model, loaded, for prompts that come one batch after the other."""
    rules, adapter = opened(setup)
    return _answerer(setup, rules, make_engine(setup, rules.chat, adapter))


def run(job: Job) -> Result:
    """The whole evaluation."""
    questions = selected(job)
    rules, adapter = opened(job)
    requests = requests_of(questions, rules, Mode(job.mode), job.max_length)

    def make() -> Engine:
        engine = make_engine(job, rules.chat, adapter)
        if not job.contest:
            return engine
        return ContestEngine(Path(job.folder), questions, _answerer(job, rules, engine).answer)

    return evaluate(job.step, job.label, questions, requests, make, contest=job.contest)


def _answerer(setup: Setup, rules: Rules, engine: Engine) -> Answerer:
    return Answerer(engine, rules, Mode(setup.mode), setup.max_length)


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
    from inference.answering import job  # by its name, under which Ray's workers import what they are given

    explained(lambda: job.run(job.from_json(sys.stdin.read())))
