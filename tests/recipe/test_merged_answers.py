"""On a CPU vLLM is given a merged model in the place of an adapter, for as long as it answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from inference.answering.engines import settings
from inference.answering.engines.cluster import RAY
from inference.evaluate import Evaluation
from recipe.commands import root
from recipe.steps.asking import merged, unpacked
from recipe.steps.eval import How, Target, evaluation_of
from spine.checkpoint import SINGLE, open_checkpoint
from spine.mixture import BASE, Mixture
from tests.postprocess.checkpoints import write_adapter, write_model
from tests.postprocess.test_awq_unpack import a_layer, write
from tests.recipe.test_answering import with_gpus


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    with_gpus(0, monkeypatch)
    write_model(tmp_path / "base", max_position_embeddings=1024)
    write_adapter(tmp_path / "adapter")
    (tmp_path / "questions.json").write_text("[]")
    return Target("adapter-0.5", "v8, 0.5", tmp_path / "base", Mixture.of(tmp_path / "adapter", 0.5))


def evaluation(target: Target, *, count: int = 100, mergeable: bool = True, engine: str | None = None) -> Evaluation:
    file = target.model.parent / "questions.json"
    made = evaluation_of(target, file, None, How(engine=engine), count=count, mergeable=mergeable)
    return replace(made, folder=str(target.model.parent / "results"))


def test_many_questions_are_worth_a_merge(target: Target) -> None:
    assert [evaluation(target, count=count).engine for count in (99, 100)] == ["transformers", "vllm"]
    assert evaluation(target, mergeable=False).engine == "transformers"
    assert evaluation(target, engine=RAY).engine == "transformers"  # a worker has no folder of ours to merge in


def test_the_merged_model_is_there_for_as_long_as_it_is_asked(target: Target) -> None:
    base, folder = target.model, target.model.parent
    command = [
        "merge",
        "--base",
        str(base),
        "--add",
        str(folder / "adapter"),
        "--alpha",
        "0.5",
        "--out",
        str(folder / "m"),
    ]
    assert CliRunner(env={"ALPHA": ""}).invoke(root, command).exit_code == 0
    (folder / "results" / ".merged" / "half").mkdir(parents=True)  # a killed attempt's
    with pytest.raises(KeyboardInterrupt), merged(evaluation(target)) as ready:
        assert ready.mixture == BASE and Path(ready.model).is_relative_to(ready.folder)
        written = (Path(ready.model) / SINGLE).read_bytes()
        assert written == (folder / "m" / SINGLE).read_bytes() != (base / SINGLE).read_bytes()
        raise KeyboardInterrupt
    assert list((folder / "results").iterdir()) == []


@pytest.mark.parametrize("how", [{"gpus": 1}, {"workers": 2}, {"engine": "transformers"}, {"mixture": BASE}])
def test_other_engines_take_the_adapter_itself(target: Target, how: dict[str, object]) -> None:
    given = replace(evaluation(target), **how)  # type: ignore[arg-type]
    with merged(given) as ready:
        assert ready is given


def test_the_base_needs_no_merge(target: Target) -> None:
    given = evaluation(replace(target, mixture=target.mixture * 0))
    with merged(given) as ready:
        assert ready is given


def test_a_base_in_4_bit_keeps_its_adapter_beside_it(target: Target) -> None:
    stated = target.model / "config.json"
    stated.write_text(stated.read_text().replace("{", '{"quantization_config": {}, ', 1))
    given = evaluation(target, count=1)
    with merged(given) as ready:
        assert given.engine == "vllm" and ready is given


def test_4_bit_is_unpacked_where_this_cpu_would_answer(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where workers of Ray do elsewhere; and what the answers depend on is no matter of the CPU."""
    before = evaluation(target).inputs
    packed, out = target.model.parent / "packed", target.model.parent / "unpacked"
    tensors, weight = a_layer(np.random.default_rng(0), "model.a_proj", 2, 2, gptq=False, bf16=False)
    write(packed, tensors)
    with unpacked(packed, 0, out) as model:
        assert model == packed  # this CPU has AVX-512, says conftest
    monkeypatch.setattr(settings, "bf16_on_cpu", lambda: False)
    assert evaluation(target).inputs == before
    for gpus in (1, None):
        with unpacked(packed, gpus, out) as model:
            assert model == packed
    (out / "half").mkdir(parents=True)  # a killed attempt's
    with pytest.raises(KeyboardInterrupt), unpacked(packed, 0, out) as model:
        assert model == out and open_checkpoint(model).tensors["model.a_proj.weight"].shape == weight.shape
        raise KeyboardInterrupt
    assert not out.exists()
    monkeypatch.setenv("RAY_ADDRESS", "cluster:6379")
    assert evaluation(target, engine=RAY).gpus is None
