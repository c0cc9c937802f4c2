"""Held-out questions asked while a model trains: the same answers and scores as an evaluation of it gives."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recipe.smoke import pico
from spine.errors import RecipeError
from spine.paths import ROOT

pytest.importorskip("axolotl")
MODEL = ROOT / "models" / "SmolLM2-135M-Instruct"
TRUTHS = {"multiple-choice": 2, "ranking": [1.0, 0.1, 0.01, 0.0], "retrieval": [1, 2, 3], "generation": "a text"}


def write(path: Path, per_task: int = 3) -> Path:
    """Held-out rows of four kinds, dataset after dataset, as a run has them."""
    things = ("a fig", "a fork", "a pan", "tea")
    rows = []
    for number, (kind, truth) in enumerate(TRUTHS.items()):
        listed = "\n".join(f"{at}. {thing}" for at, thing in enumerate(things, kind != "multiple-choice"))
        for at in range(per_task):
            turns = {"user": f"List {at}. Which of these?\n{listed}\nAnswer:", "assistant": "2"}
            messages = [{"role": role, "content": text} for role, text in turns.items()]
            facts = {"task": f"some_{kind}", "task_type": kind, "track": 1 + number % 2, "truth": json.dumps(truth)}
            rows.append({"messages": messages, **facts})
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_of_few_questions_each_dataset_has_one_and_none_is_a_text(tmp_path: Path) -> None:
    from inference.while_training import chosen

    held_out = write(tmp_path / "val.parquet")
    assert [question.task for question in chosen(held_out, 4)] == [
        "some_multiple-choice", "some_ranking", "some_retrieval", "some_multiple-choice",
    ]  # fmt: skip
    assert len(chosen(held_out, 100)) == 9
    texts = pq.read_table(held_out).filter(pa.compute.equal(pq.read_table(held_out)["task_type"], "generation"))
    pq.write_table(texts, tmp_path / "texts.parquet")
    with pytest.raises(RecipeError, match="no question with one right answer"):
        chosen(tmp_path / "texts.parquet", 4)


@pytest.mark.parametrize("count", [1, 7])
def test_scores_are_those_of_an_evaluation_and_the_model_goes_on_training(tmp_path: Path, count: int) -> None:
    from accelerate import Accelerator
    from transformers import AutoModelForCausalLM

    from inference.answering.engines.requests import requests_of
    from inference.answering.engines.transformers import TransformersEngine
    from inference.answering.rules import Mode, Rules
    from inference.scoring.scores import score
    from inference.while_training import ScoredPlugin, chosen
    from spine.chat import ChatTokenizer
    from spine.mixture import Mixture

    folder, held_out, logged = tmp_path / "pico", write(tmp_path / "val.parquet"), dict[str, Any]()
    pico.write(MODEL, folder)
    model = AutoModelForCausalLM.from_pretrained(folder).train()
    trainer = SimpleNamespace(model=model, accelerator=Accelerator(cpu=True), log=logged.update)
    cfg = SimpleNamespace(
        test_datasets=[{"path": str(held_out)}], base_model=str(folder), eval_questions=count, sequence_len=640
    )
    (callback,) = ScoredPlugin().add_callbacks_post_trainer(cfg, trainer)
    callback.on_evaluate(None, None, None)

    questions, chat = chosen(held_out, count), ChatTokenizer.load(str(folder))
    requests = requests_of(questions, Rules.of(str(folder), chat), Mode.EXACT, 640)
    engine = TransformersEngine(folder, chat, Mixture(()))
    texts = dict(engine.generate(requests))
    scores, _, _ = score(questions, [texts[at] for at in range(count)])
    assert logged["eval_score"] == pytest.approx(scores.overall.score, abs=1e-4)
    assert {name for name in logged if "track" in name} == {f"eval_score_track{number}" for number in scores.tracks}
    assert model.training
    loss = model(input_ids=(ids := chat_ids(chat)), labels=ids).loss
    loss.backward()  # nothing that was kept while asking is in the way
    assert all(weight.grad is not None for weight in model.parameters())


def chat_ids(chat: Any) -> Any:
    import torch

    return torch.tensor([chat.tokenizer.encode("Which one is a fruit? A fig.").ids])
