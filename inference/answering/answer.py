"""A model answers questions; its answers lie in a folder as they come, so that an interrupted run goes on where it was.

All that an answer depends on is imported from here on down (``spine.code.code_of``); what scores it is not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from inference.answering.adapter import require_fitting
from inference.answering.engines.requests import Engine, LoadedEngine, Request, Tells, requests_of
from inference.answering.questions import Question, unscored
from inference.answering.rules import Mode, Rules
from spine.atomic import disk_full_explained, write_text
from spine.chat import ChatTokenizer
from spine.errors import RecipeError
from spine.hardware import waited_seconds
from spine.manifest import NAME as MANIFEST
from spine.manifest import Step, digest
from spine.mixture import BASE, Mixture
from spine.models import model_files
from spine.paths import shown
from spine.progress import Meter, timed

ENGINES = ("transformers", "vllm")
LONGEST = 4096  # tokens of prompt and answer; ShopBench's longest prompts are half of it
SHORTEST = 512  # system prompt and chat template are 50, and the permutation of a list of 100 is 300
PREDICTIONS = "predictions.jsonl"
_STARTED = "started.json"  # what the answers in the folder depend on
_FLUSH_SECONDS = 5.0
_SLOW = 0.2  # of the time


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What answers, and how.

    Attributes:
        model: the base's folder.
        mixture: of adapters for it; none: the base as it is.
        max_length: tokens of prompt and answer together.
        dtype: of the weights; ``auto`` is the checkpoint's.
        gpus: over which vLLM splits the model; None: on Ray, over all that a node has.
        workers: on Ray, 0 for as many as there is room for; None: here, without Ray.
    """

    model: str
    mixture: Mixture = BASE
    engine: str = "transformers"
    mode: str = "exact"
    max_length: int = LONGEST
    dtype: str = "auto"
    gpus: int | None = 0
    workers: int | None = None


class Answerer:
    """A model with its rules; loaded when it is first asked, then only its adapters are weighed anew.

    Args:
        setup: ``mixture`` has all adapters that any mixture asked for is made of.

    Raises:
        RecipeError: its tokenizer or an adapter will not do.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self.rules = Rules.of(setup.model, ChatTokenizer.load(setup.model))
        require_fitting(setup.mixture, Path(setup.model))
        self._engine: LoadedEngine | None = None

    def engine(self, mixture: Mixture) -> LoadedEngine:
        """The engine, loaded, with the adapters as ``mixture`` weighs them; one on Ray loads when it is asked."""
        if self._engine is None:
            self._engine = make_engine(self._setup, self.rules.chat)
        self._engine.mix(mixture)
        return self._engine

    def requests(self, questions: Sequence[Question]) -> list[Request]:
        """A request for each question, in their order."""
        return requests_of(questions, self.rules, Mode(self._setup.mode), self._setup.max_length)

    def answer(self, prompts: Sequence[str], is_multiple_choice: bool | None) -> list[str]:
        """Answers in the prompts' order; as at the contest, nothing but the prompts and the flag is looked at."""
        requests = self.requests([unscored(prompt, is_multiple_choice) for prompt in prompts])
        engine = self._engine or self.engine(self._setup.mixture)
        texts = dict(engine.generate(requests))
        return [texts[request.index] for request in requests]


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


def make_engine(setup: Setup, chat: ChatTokenizer) -> LoadedEngine:
    """The engine that ``setup`` asks for."""
    if setup.workers is not None:
        from inference.answering.engines.ray import RayEngine

        return RayEngine(partial(in_a_worker, setup), setup.workers, setup.gpus, setup.mixture)
    model = Path(setup.model)
    with timed(f"loading {shown(model)} with {setup.engine}"):
        if setup.engine == "vllm":
            from inference.answering.engines.vllm import VllmEngine

            gpus = setup.gpus or 0
            return VllmEngine(model, chat, setup.mixture, max_length=setup.max_length, dtype=setup.dtype, gpus=gpus)
        from inference.answering.engines.transformers import TransformersEngine

        return TransformersEngine(model, chat, setup.mixture, dtype=setup.dtype)


def in_a_worker(setup: Setup, gpus: int, mixture: Mixture) -> LoadedEngine:
    """The engine that ``setup`` asks for on Ray, loaded in one of the workers: all is read where the worker is."""
    return Answerer(replace(setup, workers=None, gpus=gpus)).engine(mixture)


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
    seconds = 0.0
    if left:
        ready = engine()
        began = time.monotonic()
        with disk_full_explained(step.folder), (step.folder / PREDICTIONS).open("a", encoding="utf-8") as file:
            for index, text in _metered(ready, left, len(requests), file.flush):
                known[index] = text
                file.write(_line(index, text))
        seconds = time.monotonic() - began
    return [known[request.index] for request in requests], len(left), seconds


def _metered(
    engine: Engine, left: Sequence[Request], total: int, flush: Callable[[], None]
) -> Iterator[tuple[int, str]]:
    """The answers, with a progress line from the first token on, and written now and then."""
    done, flushed, pace = total - len(left), time.monotonic(), Pace()
    with Meter("answering", "question") as meter:
        meter.update(done, total)

        def step(tokens: int) -> None:
            """Answers come in batches: how many there are is counted where the next one begins."""
            meter.advance(done, total, f"{tokens:,} tokens{pace.told()}")

        if tells := isinstance(engine, Tells):
            engine.on_step = step
        for done, answer in enumerate(engine.generate(left), start=done + 1):  # noqa: B020 - goes on counting
            yield answer
            if not tells or done == total:
                meter.update(done, total, pace.told())
            if time.monotonic() - flushed > _FLUSH_SECONDS:
                flush()
                flushed = time.monotonic()


class Pace:
    """What share of its time this program has waited for a core that others had."""

    def __init__(self) -> None:
        self._began, self._waited = time.monotonic(), waited_seconds()

    def told(self) -> str:
        """Empty where it is small."""
        seconds, waited = time.monotonic() - self._began, waited_seconds()
        if self._waited is None or waited is None or waited - self._waited < _SLOW * seconds:
            return ""
        return f"  slowed down: other programs had its core for {(waited - self._waited) / seconds:.0%} of the time"


def _earlier(step: Step, count: int) -> dict[int, str]:
    """The answers of an interrupted attempt at this very step; a line that was cut off is dropped.

    Answers stay good where only what scores them has changed.
    """
    step.folder.mkdir(parents=True, exist_ok=True)
    (step.folder / MANIFEST).unlink(missing_ok=True)  # of an earlier result, which is no more from here on
    path, started = step.folder / PREDICTIONS, step.folder / _STARTED
    key = digest(step.inputs["answers"])
    try:
        same = json.loads(started.read_text(encoding="utf-8"))["key"] == key
    except (OSError, ValueError, KeyError):
        same = False
    answers: dict[int, str] = {}
    if same and path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and row.get("index") in range(count):
                answers[row["index"]] = row["answer"]
    write_text(path, "".join(_line(index, answers[index]) for index in sorted(answers)))
    write_text(started, json.dumps({"key": key, "inputs": step.inputs}, default=str))
    return answers


def _line(index: int, answer: str) -> str:
    return json.dumps({"index": index, "answer": answer}, ensure_ascii=False) + "\n"
