"""How a model is asked: what the profile says, what a flag says instead, what this machine has."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from axolotl_configs.render import Resolved, resolve
from axolotl_configs.schema import Answer
from dataset_builders.task import task_names
from inference.answering.answer import ENGINES
from inference.answering.engines.cluster import ADDRESS, RAY
from inference.answering.rules import Mode
from inference.evaluate import Evaluation
from recipe.steps import eval as answering
from recipe.steps.eval import How, Target, evaluation_of, gpus_for
from spine import code
from spine.errors import RecipeError
from spine.hardware import Device, Machine
from spine.paths import ROOT
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


def evaluation(
    target: Target, resolved: Resolved | None, count: int = 1, contest: bool = False, **how: Any
) -> Evaluation:
    path = target.model.parent / "q.json"
    path.write_text("[]")
    return evaluation_of(target, path, resolved, How(**how), count=count, contest=contest)


def test_a_profile_can_name_every_engine_and_mode() -> None:
    known = {name: set(get_args(field.annotation)) for name, field in Answer.model_fields.items()}
    assert known["engine"] == {"auto", *ENGINES} and known["mode"] == set(Mode)


def test_a_flag_wins_over_the_profile(resolved: Resolved) -> None:
    found = How().settings(resolved)
    assert (found.engine, found.mode) == ("transformers", "winners")
    assert How(engine="vllm", mode="free").settings(resolved) == Answer(engine="vllm", mode="free")
    assert How().settings(None) == Answer()


def test_a_job_is_asked_as_the_profile_says(
    target: Target, resolved: Resolved, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_gpus(0, monkeypatch)
    made = evaluation(target, resolved, count=1_000)
    assert (made.engine, made.mode, made.max_length, made.gpus) == ("transformers", "winners", 1024, 0)
    assert Path(made.folder).name == "m@q,winners" and Path(made.folder).is_relative_to(resolved.run.folder)
    assert [evaluation(target, None, count=count).engine for count in (99, 100)] == ["transformers", "vllm"]
    with_gpus(2, monkeypatch)
    assert evaluation(target, None).engine == "vllm" and evaluation(target, None).gpus == 2


def test_a_contest_has_results_of_its_own(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(0, monkeypatch)
    usual, timed = evaluation(target, None), evaluation(target, None, contest=True)
    assert Path(timed.folder).name == "m@q,contest" and not usual.contest and timed.contest
    assert timed.inputs != usual.inputs


ANSWERS = ["answering/answer.py", "answering/decoding.py", "answering/engines/vllm.py"]
SCORES = ["evaluate.py", "scoring/metrics.py", "scoring/scores.py", "scoring/predictions.py", "scoring/time_limits.py"]
NOTHING = ["scoring/tables.py", "scoring/compare.py", "scoring/sweep.py", "serving/chat.py", "answering/submission.py"]


@pytest.mark.parametrize("contest", [False, True])
@pytest.mark.parametrize(
    ("files", "answers", "scores"),
    [
        (
            ["spine/chat.py", "spine/task_types.py", "prompts/system.j2", *(f"inference/{name}" for name in ANSWERS)],
            True,
            True,
        ),
        (["inference/answering/contest.py"], None, True),  # answers of the contest's way of asking alone
        ([f"inference/{name}" for name in SCORES], False, True),
        (["recipe/steps/eval.py", *(f"inference/{name}" for name in NOTHING)], False, False),
    ],
)
def test_what_makes_answers_stale_and_what_only_their_scores(
    target: Target, monkeypatch: pytest.MonkeyPatch, contest: bool, files: list[str], answers: bool | None, scores: bool
) -> None:
    with_gpus(0, monkeypatch)
    real, before = code._digest, evaluation(target, None, contest=contest).inputs
    for name in files:
        assert (ROOT / name).is_file()
        monkeypatch.setattr(code, "_digest", lambda path, name=name: "new" if path == ROOT / name else real(path))
        after = evaluation(target, None, contest=contest).inputs
        assert (after["answers"] != before["answers"]) is (contest if answers is None else answers), name
        assert (after["scoring"] != before["scoring"]) is scores, name


def test_where_it_is_answered_is_no_part_of_an_answer(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluation that was begun here goes on on Ray, and the other way round."""
    monkeypatch.delenv(ADDRESS, raising=False)
    with_gpus(0, monkeypatch)
    here, there, two = (
        evaluation(target, None),
        evaluation(target, None, engine=RAY),
        evaluation(target, None, workers=2),
    )
    assert (here.workers, there.workers, two.workers) == (None, 0, 2)
    assert here.inputs == there.inputs == two.inputs and here.folder == there.folder and there.gpus == 0
    assert evaluation(target, None, engine="vllm", workers=1).engine == "vllm"
    with pytest.raises(RecipeError, match="--contest"):
        evaluation(target, None, engine=RAY, contest=True)


def test_of_a_cluster_only_ray_knows_the_gpus(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS, "head:6379")
    with_gpus(0, monkeypatch)
    assert (evaluation(target, None, engine=RAY).gpus, evaluation(target, None, engine=RAY).engine) == (None, "vllm")
    assert evaluation(target, None, engine=RAY, tensor_parallel=4).gpus == 4
    assert evaluation(target, None).gpus == 0  # without Ray, its address does not matter


def test_the_questions_of_a_folder_are_an_input_each(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(0, monkeypatch)
    folder = target.model.parent / "mmlu"
    folder.mkdir()
    for name in ("a_test.csv", "b_test.csv"):
        (folder / name).write_text("q,a,b,c,d,0\n")

    def answers() -> dict[str, object]:
        made = evaluation_of(target, folder, None, How(), count=2, tasks=("x/y",))
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
        evaluation(target, None)
