"""What `recipe reproduce` leaves, made up within a second: real files of every kind, answers that nobody gave."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inference import evaluate
from inference.answering.decoding import Rule
from inference.answering.engines.requests import Request
from inference.answering.questions import Question, question_files, read_questions
from inference.scoring.sweep import best_weights
from recipe.steps.merge import swept_alphas
from recipe.walk import graph
from recipe.walk.graph import Stage
from recipe.walk.stages import Stages
from spine import manifest
from spine.manifest import Step, file_digest
from spine.task_types import TaskType, answer_text

TASKS = {  # name -> type, track
    "which_fruit": (TaskType.MULTIPLE_CHOICE, 1), "find_forks": (TaskType.RETRIEVAL, 2),
    "rank_figs": (TaskType.RANKING, 3), "name_colour": (TaskType.NER, 4),
}  # fmt: skip
# Chance of a right answer: of the base, and what the whole adapter of a blend adds.
BASE, ADDED = 0.3, {"v7": 0.35, "v8": 0.4, "v7b": 0.4, "v9b": 0.45}
WRONG = "nothing, so to speak"  # to a question for a phrase
SMALL_KL, LARGE_KL = 0.2, 0.44


def rows(of_each: int) -> list[dict[str, Any]]:
    """Questions as held-out rows have them."""
    made = []
    for task, (kind, track) in TASKS.items():
        for at in range(of_each):
            truth: Any = {
                TaskType.MULTIPLE_CHOICE: at % 4, TaskType.RETRIEVAL: [1 + at % 5, 6], TaskType.NER: [f"hue{at}"],
                TaskType.RANKING: [float(at % 3), 1.0, 0.0],
            }[kind]  # fmt: skip
            messages = [{"role": "user", "content": f"{task}, number {at} of hue{at}?"}]
            made.append({"messages": messages, "truth": json.dumps(truth), "task": task, "task_type": kind.value,
                         "track": track})  # fmt: skip
    return made


def taken_as_done(patch: pytest.MonkeyPatch, **changed: str) -> None:
    """What lies there whole is not asked whether it is what its inputs make; ``changed``: stages that are not."""

    def why(stage: Stage) -> str:
        if not all(manifest.read(folder) for folder in stage.outputs):
            return manifest.NEVER
        damaged = [name for folder in stage.outputs for name in manifest.damaged(folder)]
        return f"damaged or gone: {', '.join(damaged)}" if damaged else changed.get(stage.name.replace(" ", "_"), "")

    patch.setattr(graph, "why", why)


class World:
    """Does stages, each in its folders."""

    def __init__(self, stages: Stages, of_each: int = 24) -> None:
        self.stages, self.of_each = stages, of_each

    def do(self, *kinds: str) -> None:
        """All stages of these kinds, in their order; what a sweep finds adds stages."""
        stages = Stages(self.stages.wanted)
        for kind in kinds:
            for stage in stages.all():
                if stage.kind != kind or manifest.read(stage.outputs[0]):
                    continue
                getattr(self, f"_{kind}")(stage, stages)
                for at, folder in enumerate(stage.outputs):
                    known = json.loads((folder / manifest.NAME).read_text())
                    seconds = 0.0 if at else 60.0 + len(stage.name)
                    _write(folder / manifest.NAME, known | {"wall_seconds": seconds})
            stages = Stages(self.stages.wanted) if kind == "sweep" else stages

    def _questions(self, stage: Stage, stages: Stages) -> None:
        for path in (stages.test, stages.validation):
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(rows(self.of_each)), path)
        counted = dict.fromkeys(TASKS, self.of_each)
        tracks = {name: track for name, (_, track) in TASKS.items()}
        Step(stage.outputs[0], "questions", {}).finish(
            ["test.parquet", "validation.parquet"], datasets={"test": counted, "validation": counted}, tracks=tracks
        )

    def _data(self, stage: Stage, stages: Stages) -> None:
        shares = {"type": {"mc": 0.6, "ner": 0.4}, "source": {"esci": 0.7, "mmlu": 0.3}, "track": {"track 1": 1.0},
                  "LLM": {"without": 0.4, "enrich": 0.6}}  # fmt: skip
        totals = {"kept": 340, "held_out": 65, "tokens": 50_000, "trained_tokens": 1_500, "dropped": {"duplicate": 2},
                  "made": 0}  # fmt: skip
        lengths = {"edges": [0, 100, 300], "rows": [200, 140]}
        _write(stage.outputs[0] / "stats.json", {"totals": totals, "shares": shares, "lengths": lengths})
        Step(stage.outputs[0], "data", {}).finish(["stats.json"])

    def _train(self, stage: Stage, stages: Stages) -> None:
        folder = stage.outputs[0]
        folder.mkdir(parents=True)
        with (folder / "loss.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["step", "epoch", "loss", "eval_loss", "learning_rate", "grad_norm"])
            writer.writerow([0, 0, "", 3.4, "", ""])
            writer.writerows([at, at / 85, 3.4 * 0.97**at + at % 5 / 10, "", 0.001, 1.0] for at in range(1, 86))
            writer.writerow([85, 1, "", 1.2, "", ""])
        start = stages.blends[stage.about].start
        inputs = {"start": start.as_json() if start else None}
        Step(folder, "train", inputs).finish(["loss.csv"], steps=85, environment={"torch": "2.13.0+cpu"})

    def _sweep(self, stage: Stage, stages: Stages) -> None:
        weights = swept_alphas(stages.blends[stage.about])
        scores = {}
        for weight, folder in zip(weights, stage.outputs[1:], strict=True):
            self.answer(folder, f"{stage.about}, {weight:g}", stages.validation, stage.about, weight)
            scores[weight] = json.loads((folder / "scores.json").read_text())
        best = [{"track": track, "alpha": alpha, **row} for track, alpha, row in best_weights(scores)]
        _write(stage.outputs[0] / "sweep.json", {"best": best, "weights": weights})
        Step(stage.outputs[0], "sweep", {}).finish(["sweep.json"])

    def _eval(self, stage: Stage, stages: Stages) -> None:
        _, blend, weight = (*stage.name.removesuffix(" free").split(), "0")[:3]
        model = "SmolLM2-135M-Instruct (base)" if blend == "base" else f"{blend}, {weight}"
        self.answer(stage.outputs[0], model, stages.test, blend, float(weight.rpartition("-")[2]))

    def answer(
        self, folder: Path, label: str, questions: Path, blend: str, weight: float, limit: int | None = None
    ) -> None:
        """An evaluation: better with ``weight``, the same answers wherever they are asked for again."""
        asked = read_questions(questions, limit=limit)
        skill = BASE + weight * ADDED.get(blend, 0.0)
        texts = [_answer(question, skill) for question in asked]
        known = {name: file_digest(file) for file, name in question_files(questions).items()}
        told = {"questions": known, "selection": [limit, [], []], "mixture": [[blend, weight]] if weight else []}
        self.evaluated(Step(folder, "eval", {"answers": told}), label, asked, texts)

    @staticmethod
    def evaluated(step: Step, label: str, asked: Sequence[Question], texts: Sequence[str]) -> None:
        requests = [Request(at, (1,), Rule(1, (0,))) for at in range(len(asked))]
        evaluate.evaluate(step, label, asked, requests, lambda: _Engine(texts))

    def _merge(self, stage: Stage, stages: Stages) -> None:
        for folder in stage.outputs:
            folder.mkdir(parents=True)
            (folder / "model.safetensors").write_bytes(b"0" * 2690)
            Step(folder, "merge", {}).finish(["model.safetensors"])

    def _awq(self, stage: Stage, stages: Stages) -> None:
        for folder in stage.outputs:
            folder.mkdir(parents=True)
            (folder / "model.safetensors").write_bytes(b"0" * 1170)
            _write(folder / "quality.json", _quality())
            Step(folder, "awq", {}).finish(["quality.json", "model.safetensors"])


class _Engine:
    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, str]]:
        return ((request.index, self.texts[request.index]) for request in requests)


def _answer(question: Question, skill: float) -> str:
    luck = random.Random(question.prompt).random()
    assert question.truth is not None
    if luck < skill:
        return answer_text(question.type, question.truth)
    return WRONG if question.type is TaskType.NER else "3,2,1"


def _quality() -> dict[str, Any]:
    def version(kl: float) -> dict[str, float]:
        return {"kl": kl, "top1_agreement": 1 - kl, "perplexity": 12 + kl}

    layers = [{"output_errors": {"export": 0.02 + at / 300, "rtn": 0.05 + at / 200}} for at in range(30)]
    return {"texts": 20, "tokens": 2_000, "reference": version(0.0), "export": version(SMALL_KL),
            "rtn": version(LARGE_KL), "layers": layers, "faults": []}  # fmt: skip


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
