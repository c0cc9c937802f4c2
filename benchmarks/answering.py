"""Answering: beside a plain ``generate`` loop, beside vLLM called directly, and a sweep beside one evaluation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.answering_peer import ASKED
from benchmarks.measure import MODEL, RECIPE, Cost, Result, beside, cost, workshop
from inference.answering.answer import PREDICTIONS
from inference.evaluate import Evaluation
from recipe.steps.asking import cpu_settings
from spine import child_job, manifest
from spine.environments import python, variables
from spine.mixture import Mixture
from spine.paths import RUNS

QUESTIONS = RUNS / "cpu" / "questions" / "test.parquet"
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
SWEPT = 3  # questions of each dataset for every weight of a sweep; else ASKED
TIMES_LOOP, NOT_SLOWER, TIMES_ONE = 6.0, 1.0, 5.2


def run() -> list[Result]:
    """Seconds of answering, the model loaded; the sweep and its evaluation are whole processes."""
    cost([RECIPE, "questions", "v8", "-p", "cpu"])
    with workshop() as folder:
        loop, loop_answers = _peer("loop")
        direct, direct_answers = _peer("vllm")
        engines = {engine: _evaluated(folder, engine, "exact") for engine in ("vllm", "transformers")}
        free, free_answers, _ = _evaluated(folder, "vllm", "free")
        _peer("adapter", out=folder / "adapter")
        one, five = _swept(folder, WEIGHTS[-1:]), _swept(folder, WEIGHTS)
    questions = len(loop_answers)
    best = min(engines, key=lambda engine: engines[engine][0])
    return [
        *(Result(f"{questions} questions, engine {engine}: {questions / seconds:.1f} a second, "
                 f"{_equal(answers, loop_answers)} as the peer's; whole process {whole.wall:.0f} s",
                 seconds, f"model.generate, one at a time ({questions / loop:.1f})", loop,
                 f"{TIMES_LOOP:.0f} times as many", engine != best or loop > TIMES_LOOP * seconds)
          for engine, (seconds, answers, whole) in engines.items()),
        Result(f"engine vllm without rules, {_equal(free_answers, direct_answers)} as the peer's", free,
               "vLLM's LLM.generate", direct, "not slower", free < NOT_SLOWER * direct),
        beside(f"a sweep of {len(WEIGHTS)} weights", five.wall, "one evaluation", one.wall, TIMES_ONE),
    ]  # fmt: skip


def _equal(ours: Sequence[str], theirs: Sequence[str]) -> str:
    return f"{sum(a == b for a, b in zip(ours, theirs, strict=True))} answers"


def _peer(what: str, **more: Path) -> Any:
    job = {"what": what, "model": MODEL, "questions": QUESTIONS, **more}
    return child_job.run("serve", "benchmarks.answering_peer", job, values=cpu_settings(), quiet=True)


def _cost(evaluations: Sequence[Evaluation]) -> Cost:
    environment = {**cpu_settings(), **variables("serve", offline=True)}
    command = [str(python("serve")), "-m", "inference.evaluate"]
    return cost(command, environment, text=json.dumps([asdict(one) for one in evaluations]))


def _evaluation(folder: Path, engine: str, mode: str) -> Evaluation:
    return Evaluation(
        label="benchmark", folder=str(folder), questions=str(QUESTIONS), inputs={"answers": [engine, mode]},
        model=MODEL, engine=engine, mode=mode, limit=ASKED,
    )  # fmt: skip


def _evaluated(folder: Path, engine: str, mode: str) -> tuple[float, list[str], Cost]:
    """Seconds of answering, the answers, and the whole process, metrics included."""
    job = _evaluation(folder / f"{engine}-{mode}", engine, mode)
    whole = _cost([job])
    facts = manifest.read(Path(job.folder))
    assert facts is not None
    lines = (Path(job.folder) / PREDICTIONS).read_text(encoding="utf-8").splitlines()
    return facts["seconds_answering"], [json.loads(line)["answer"] for line in lines], whole


def _swept(folder: Path, weights: Sequence[float]) -> Cost:
    """As ``recipe sweep`` runs it without a GPU; one weight is one evaluation."""
    plain, whole = replace(_evaluation(folder, "transformers", "exact"), limit=SWEPT), Mixture.of(folder / "adapter")
    jobs = [
        replace(
            plain,
            folder=str(folder / f"sweep-{len(weights)}-{alpha}"),
            mixture=whole * alpha,
            inputs={"answers": [alpha]},
        )
        for alpha in weights
    ]
    return _cost(jobs)
