"""The contest's way of asking: the same answers as an evaluation, from a folder and a script of somebody else."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from inference import evaluate
from inference.answering.contest import BATCH
from inference.evaluate import Evaluation
from spine.mixture import BASE, Mixture

# What the starter kit does with `UserModel`: groups by task type, batches as big as the class wants them, one flag.
KIT = """
import itertools, json, sys
from models.user_config import UserModel

rows = [json.loads(line) for line in open("development.json", encoding="utf-8")]
model, found = UserModel(), {}
for kind, group in itertools.groupby(sorted(rows, key=lambda row: row["task_type"]), key=lambda row: row["task_type"]):
    group, size = list(group), model.get_batch_size()
    for at in range(0, len(group), size):
        prompts = [row["input_field"] for row in group[at:at + size]]
        answers = model.batch_predict({"prompt": prompts}, kind == "multiple-choice")
        assert len(answers) == len(prompts) and all(isinstance(answer, str) for answer in answers)
        found.update(zip(prompts, answers))
json.dump(found, open("answers.json", "w"))
"""
# Of its local_evaluation.py and metrics.py; beside these they import `evaluate`, which docs/contest.md installs.
KIT_IMPORTS = ("loguru", "numpy", "pandas", "rouge_score", "sacrebleu", "sentence_transformers", "torch", "tqdm")
WORDS = ["oak", "bread", "board", "juice", "groove", "solid", "warm", "kettle", "lamp", "blue", "40", "cm", "oiled"]


def rows() -> list[dict[str, object]]:
    """All five task types, more multiple choice than a batch holds; blanks before line ends, as real prompts have."""
    chance = random.Random(0)

    def listed(count: int, start: int) -> str:
        return "\n".join(f"{at}. {' '.join(chance.choices(WORDS, k=4))}  " for at in range(start, start + count))

    made: list[dict[str, object]] = []
    for number in range(BATCH + 3):
        options = f"Which one is number {number}?  \n{listed(4, 0)}\nAnswer: "
        made.append({"task_type": "multiple-choice", "input_field": options, "output_field": 0})
    for number in range(3):
        one, other = chance.sample(WORDS, 2)
        made += [
            {"task_type": "retrieval", "input_field": f"Part {number}: select three numbers.\n{listed(12, 1)}\nOutput:",
             "output_field": [1]},
            {"task_type": "ranking", "input_field": f"Part {number}: rank these.\n{listed(5, 1)}\nOutput:",
             "output_field": [1, 0, 0, 0, 0]},
            {"task_type": "named_entity_recognition", "metric": "micro f1",
             "input_field": f"Extract the entity type 'material' ({number}).\nQuery: {one} {other}\nOutput:",
             "output_field": [one]},
            {"task_type": "generation", "input_field": f"Describe the {one} {other} number {number}.",
             "output_field": one, "metric": "rougel"},
        ]  # fmt: skip
    return made


@pytest.fixture
def evaluation(tmp_path: Path, model: Path, adapter: Mixture) -> Evaluation:
    (tmp_path / "development.json").write_text("".join(json.dumps(row) + "\n" for row in rows()))
    return Evaluation(
        label="pico", folder=str(tmp_path / "plain"), questions=str(tmp_path / "development.json"),
        inputs={"answers": {"alpha": 0.5}, "scoring": "v1"}, model=str(model), mixture=adapter * 0.5,
        mode="winners", max_length=512, dtype="float32",
    )  # fmt: skip


def answers(evaluation: Evaluation) -> list[str]:
    evaluate.run([evaluation])
    lines = (Path(evaluation.folder) / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["answer"] for line in lines]


def test_the_contest_gets_the_answers_that_an_evaluation_gets(evaluation: Evaluation, tmp_path: Path) -> None:
    contest = replace(evaluation, contest=True, folder=str(tmp_path / "contest"))
    assert answers(contest) == answers(evaluation)
    scores, seconds = (json.loads((tmp_path / name / "scores.json").read_text()) for name in ("plain", "contest"))
    found = seconds.pop("contest")
    assert seconds == scores
    assert found["batches"] == 2 + 4 and found["seconds_a_batch"]["slowest"] > 0 and contest.step.is_done()


def test_the_starter_kit_gets_the_answers_that_an_evaluation_gets(evaluation: Evaluation, tmp_path: Path) -> None:
    kit = tmp_path / "kit"
    (kit / "models").mkdir(parents=True)
    (kit / "models" / "user_config.py").write_text(
        "from inference.answering.submission import ShopBenchModel as UserModel\n"
    )
    (kit / "local_evaluation.py").write_text(KIT)
    (tmp_path / "development.json").replace(kit / "development.json")
    variables = {
        "RECIPE_MODEL": evaluation.model, "RECIPE_ADAPTER": evaluation.mixture.parts[0].folder, "RECIPE_ALPHA": "0.5",
        "RECIPE_DTYPE": "float32", "RECIPE_ENGINE": "transformers", "RECIPE_MODE": "winners",
        "RECIPE_MAX_LENGTH": "512",
    }  # fmt: skip
    command = [sys.executable, "local_evaluation.py"]
    done = subprocess.run(
        command, cwd=kit, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((kit / "answers.json").read_text())
    expected = answers(replace(evaluation, questions=str(kit / "development.json")))
    assert [found[row["input_field"]] for row in rows()] == expected
    assert len(set(expected)) > 5


def test_what_the_starter_kit_imports_is_here_but_for_evaluate() -> None:
    assert [name for name in KIT_IMPORTS if not importlib.util.find_spec(name)] == []


@pytest.mark.slow  # vLLM loads for a minute
def test_the_starter_kit_on_vllm_is_configured_by_the_environment_alone(
    evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inference.answering.submission import ShopBenchModel

    for name, text in {"MODEL": evaluation.model, "DTYPE": "float32", "MAX_LENGTH": "512", "BATCH": "5"}.items():
        monkeypatch.setenv(f"RECIPE_{name}", text)
    model = ShopBenchModel()
    assert model.get_batch_size() == 5
    prompts = [str(row["input_field"]) for row in rows()]
    choices, texts = prompts[: BATCH + 3], prompts[BATCH + 3 :]
    given = model.batch_predict({"prompt": choices}, True) + model.batch_predict({"prompt": texts}, False)
    assert given == answers(replace(evaluation, mixture=BASE, mode="exact"))
    assert set(given[: BATCH + 3]) <= {"0", "1", "2", "3"} and model.batch_predict({"prompt": []}, True) == []
