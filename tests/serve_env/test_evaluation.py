"""Whole evaluations as core starts them: one model, and several weights through one loaded model."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from inference import evaluate
from inference.answering import answer
from inference.evaluate import Evaluation
from spine import child_job
from spine.errors import RecipeError
from spine.mixture import Mixture

ROWS = [
    {"input_field": f"Which one is number {at}?\n0. a fig\n1. a fork\n2. a frog\nAnswer:", "output_field": at % 3,
     "task_type": "multiple-choice", "task_name": "fruit", "track": "shopping-knowledge-reasoning"}
    for at in range(4)
] + [
    {"input_field": "Describe the product type Fork.", "output_field": "A fork is a tool for eating.",
     "task_type": "generation", "metric": "rougel", "task_name": "words", "track": "understanding-shopping-concepts"}
]  # fmt: skip


@pytest.fixture
def evaluation(tmp_path: Path, model: Path) -> Evaluation:
    (tmp_path / "q.json").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    inputs = {"answers": {"alpha": 1.0}, "scoring": "v1"}
    return Evaluation(
        label="pico", folder=str(tmp_path / "out"), model=str(model), questions=str(tmp_path / "q.json"), inputs=inputs,
        max_length=256, dtype="float32",
    )  # fmt: skip


def test_a_job_survives_the_way_to_its_process_and_leaves_scores(
    evaluation: Evaluation, capfd: pytest.CaptureFixture[str]
) -> None:
    child_job.run("serve", "inference.evaluate", [evaluation])
    assert "answering 5/5 questions" in capfd.readouterr().err and evaluation.step.is_done()
    scores = json.loads((Path(evaluation.folder) / "scores.json").read_text())
    assert set(scores["tracks"]) == {"1", "2"} and scores["facts"]["questions"] == 5
    answers = [json.loads(line)["answer"] for line in (Path(evaluation.folder) / "predictions.jsonl").open()]
    assert set(answers[:4]) <= {"0", "1", "2"}


def test_a_fault_is_one_message(evaluation: Evaluation, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RecipeError, match="no such file of questions"):
        child_job.run("serve", "inference.evaluate", [replace(evaluation, questions="/nonexistent/q.json")])
    assert "Traceback" not in capfd.readouterr().err


def test_a_sweep_scores_every_weight_as_an_evaluation_of_its_own_would(
    evaluation: Evaluation, adapter: Mixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = 0
    real = answer.make_engine

    def counted(*arguments: object) -> object:
        nonlocal loads
        loads += 1
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(answer, "make_engine", counted)

    def at(alpha: float, place: str) -> Evaluation:
        inputs = {"answers": {"alpha": alpha}, "scoring": "v1"}
        return replace(
            evaluation,
            mixture=adapter * alpha,
            folder=str(tmp_path / place / f"{alpha}"),
            inputs=inputs,
        )

    weights = (0.0, 0.5, 1.0)
    evaluations = [at(alpha, "sweep") for alpha in weights]
    evaluate.run([Evaluation.of(json.loads(json.dumps(asdict(one)))) for one in evaluations])
    evaluate.run(evaluations)  # nothing is left to do
    assert loads == 1 and all(one.step.is_done() for one in evaluations)
    written = set()
    for alpha in weights:
        alone = at(alpha, "alone")
        evaluate.run([alone])
        texts = [(Path(one.folder) / "predictions.jsonl").read_text() for one in (alone, at(alpha, "sweep"))]
        assert texts[0] == texts[1]
        written.add(texts[0])
    assert len(written) == 3
