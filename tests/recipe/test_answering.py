"""How a model is asked: what the profile says, what a flag says instead, what this machine has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from click import UsageError

from axolotl_configs.render import Resolved, resolve
from axolotl_configs.schema import Answer
from dataset_builders.task import task_names
from inference.answering.engines.cluster import ADDRESS
from inference.answering.job import ENGINES, Job
from inference.answering.rules import Mode
from recipe.commands.options import RAY
from recipe.steps import eval as answering
from recipe.steps.eval import Target, answer_settings, gpus_for, make_job
from spine.errors import RecipeError
from spine.hardware import Device, Machine
from tests.conftest import edit


def with_gpus(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine((Device("a card", 80.0),) * count, 8, 64.0)
    monkeypatch.setattr(answering, "this_machine", lambda: machine)


@pytest.fixture
def resolved(configs: Path, runs_folder: Path) -> Resolved:
    edit(configs / "profiles" / "cpu.yaml", "  engine: auto ", "  mode: winners\n  engine: transformers ")
    return resolve("v8", "cpu", {}, task_names())


@pytest.fixture
def target(tmp_path: Path) -> Target:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"max_position_embeddings": 1024}')
    return Target("m", "a model", tmp_path / "model")


def job(target: Target, resolved: Resolved | None, count: int = 1, **more: object) -> Job:
    path = target.model.parent / "q.json"
    path.write_text("[]")
    given = {"engine": None, "mode": None, "dtype": "auto", "max_length": None, **more}
    return make_job(target, path, resolved, count=count, **given)  # type: ignore[arg-type]


def test_a_profile_can_name_every_engine_and_mode() -> None:
    known = {name: set(get_args(field.annotation)) for name, field in Answer.model_fields.items()}
    assert known["engine"] == {"auto", *ENGINES} and known["mode"] == set(Mode)


def test_a_flag_wins_over_the_profile(resolved: Resolved) -> None:
    found = answer_settings(resolved, None, None)
    assert (found.engine, found.mode) == ("transformers", "winners")
    assert answer_settings(resolved, "vllm", "free") == Answer(engine="vllm", mode="free")
    assert answer_settings(None, None, None) == Answer()


def test_a_job_is_asked_as_the_profile_says(
    target: Target, resolved: Resolved, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_gpus(0, monkeypatch)
    made = job(target, resolved, count=1_000)
    assert (made.engine, made.mode, made.max_length, made.gpus) == ("transformers", "winners", 1024, 0)
    assert Path(made.folder).name == "m@q,winners" and Path(made.folder).is_relative_to(resolved.run.folder)
    assert [job(target, None, count=count).engine for count in (99, 100)] == ["transformers", "vllm"]
    with_gpus(2, monkeypatch)
    assert job(target, None).engine == "vllm" and job(target, None).gpus == 2


def test_a_contest_has_results_of_its_own(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(0, monkeypatch)
    usual, timed = job(target, None), job(target, None, contest=True)
    assert Path(timed.folder).name == "m@q,contest" and not usual.contest and timed.contest
    assert timed.inputs != usual.inputs and json.loads(timed.to_json())["contest"]


def test_where_it_is_answered_is_no_part_of_an_answer(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluation that was begun here goes on on Ray, and the other way round."""
    monkeypatch.delenv(ADDRESS, raising=False)
    with_gpus(0, monkeypatch)
    here, there, two = job(target, None), job(target, None, engine=RAY), job(target, None, workers=2)
    assert (here.workers, there.workers, two.workers) == (None, 0, 2)
    assert here.inputs == there.inputs == two.inputs and here.folder == there.folder and there.gpus == 0
    assert job(target, None, engine="vllm", workers=1).engine == "vllm"
    with pytest.raises(UsageError, match="--contest"):
        job(target, None, engine=RAY, contest=True)


def test_of_a_cluster_only_ray_knows_the_gpus(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS, "head:6379")
    with_gpus(0, monkeypatch)
    assert (job(target, None, engine=RAY).gpus, job(target, None, engine=RAY).engine) == (None, "vllm")
    assert job(target, None, engine=RAY, tensor_parallel=4).gpus == 4
    assert job(target, None).gpus == 0  # without Ray, its address does not matter


def test_the_questions_of_a_folder_are_an_input_each(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(0, monkeypatch)
    folder = target.model.parent / "mmlu"
    folder.mkdir()
    for name in ("a_test.csv", "b_test.csv"):
        (folder / name).write_text("q,a,b,c,d,0\n")

    def answers() -> dict[str, object]:
        made = make_job(
            target, folder, None, engine=None, mode=None, dtype="auto", max_length=None, count=2, tasks=("x/y",)
        )
        assert Path(made.folder).name == "m@mmlu,x-y"
        found: dict[str, object] = made.inputs["answers"]
        return found

    first = answers()
    assert set(first["questions"]) == {"a", "b"}  # type: ignore[call-overload]
    (folder / "b_test.csv").write_text("q,a,b,c,d,1\n")
    assert answers() != first


def test_a_model_is_split_over_the_gpus_that_the_profile_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(4, monkeypatch)
    assert [gpus_for(Answer(tensor_parallel=wanted)) for wanted in (None, 1, 4)] == [4, 1, 4]
    with pytest.raises(RecipeError, match="tensor_parallel is 8, this machine has 4 GPUs"):
        gpus_for(Answer(tensor_parallel=8))
    with_gpus(0, monkeypatch)
    assert gpus_for(Answer(tensor_parallel=1)) == gpus_for(Answer()) == 0
    with pytest.raises(RecipeError, match="this machine has 0 GPUs"):
        gpus_for(Answer(tensor_parallel=2))


def test_a_model_for_short_texts_alone_is_refused(target: Target) -> None:
    (target.model / "config.json").write_text('{"max_position_embeddings": 128}')
    with pytest.raises(RecipeError, match=r"config\.json: max_position_embeddings is 128"):
        job(target, None)
