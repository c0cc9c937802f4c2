"""Our multiple choice in lm-evaluation-harness itself: it takes the same options as our rule does, in one precision."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inference.answering.answer import Answerer, Setup
from inference.answering.harness import GROUP, write_tasks
from inference.answering.questions import read_questions
from recipe.smoke import pico
from spine.mixture import BASE
from spine.paths import ROOT

EMBEDDED = ROOT / "models" / "SmolLM2-135M-Instruct"


def rows() -> list[dict[str, object]]:
    """Questions of two tasks, of two to five options, counted from 0 or 1; behind them one of another type."""
    made: list[dict[str, object]] = []
    for at in range(40):
        options = "".join(f"{at % 2 + number}. a {'very ' * number}good fig\n" for number in range(2 + at % 4))
        prompt = f"Which one is the fruit number {at}?\n{options}Answer: "
        made.append({"input_field": prompt, "output_field": at % 2 + at // 4 % 2, "task_type": "multiple-choice",
                     "task_name": ("figs", "shop/more figs")[at // 20], "metric": "accuracy"})  # fmt: skip
    return [*made, {"input_field": "What is a fig?", "output_field": "a fruit", "task_type": "generation",
                    "metric": "rougel"}]  # fmt: skip


def test_it_answers_as_we_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not EMBEDDED.is_dir():
        pytest.skip("needs the embedded model: recipe model")
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    model, file = tmp_path / "pico", tmp_path / "q.json"
    pico.write(EMBEDDED, model, heads=2)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    questions = read_questions(file)
    assert write_tasks(tmp_path / "tasks", questions) == {"figs": 20, "shop/more figs": 20}
    monkeypatch.chdir(tmp_path / "tasks")
    manager = TaskManager(include_path=".", include_defaults=False)
    arguments = f"pretrained={model},dtype=float32"
    found = simple_evaluate("hf", arguments, [GROUP], task_manager=manager, device="cpu", apply_chat_template=True)
    answerer = Answerer(Setup(model=str(model), dtype="float32"))
    requests = answerer.requests(questions[:40])
    ours = dict(answerer.engine(BASE).generate(requests))
    theirs = [
        sample["doc"]["options"][
            max(range(len(sample["doc"]["options"])), key=lambda at: sample["filtered_resps"][at][0])
        ]
        for task in ("figs", "shop/more figs")
        for sample in sorted(found["samples"][f"{GROUP}_{task}"], key=lambda sample: sample["doc_id"])
    ]
    assert [ours[at].strip() for at in range(40)] == theirs and len(set(theirs)) > 1
    right = sum(text == str(question.truth) for text, question in zip(theirs, questions, strict=False))
    assert found["results"][GROUP]["acc,none"] == pytest.approx(right / 40)
