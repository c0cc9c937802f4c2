"""Second rounds from the commands' side: what comes out, what is stale, and what is refused before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from axolotl_configs.render import Resolved, parse_set, resolve
from dataset_builders.task import task_names
from inference.answering.engines import settings
from inference.evaluate import Evaluation
from recipe.commands import root
from recipe.steps.eval import How, evaluation_of, run_target, sweep_of
from recipe.steps.train import base_stamp, ensure_start, require_start
from spine import atomic
from spine.adapter import CONFIG, open_adapter
from spine.checkpoint import open_checkpoint
from spine.errors import RecipeError
from spine.hardware import this_machine
from spine.manifest import NAME, Step
from tests.conftest import edit
from tests.postprocess.checkpoints import adapter_shapes, write_adapter, write_model
from tests.recipe.test_answering import with_gpus

Q = "model.layers.0.self_attn.q_proj"


def run(blend: str, overrides: str = "") -> Resolved:
    return resolve(blend, "cpu", parse_set(overrides), task_names())


def trained(resolved: Resolved, rank: int = 64, shapes: Any = None, **config: Any) -> Resolved:
    """Leaves what a training leaves."""
    folder = resolved.run.train
    write_adapter(folder, shapes or adapter_shapes(rank), r=rank, lora_alpha=rank / 2, **config)
    start = resolved.start.as_json() if resolved.start else None
    inputs = {"axolotl": resolved.lasting, "base": base_stamp(resolved), "start": start}
    Step(folder, "train", inputs).finish(["adapter_model.safetensors", CONFIG])
    return resolved


@pytest.fixture
def first(configs: Path, runs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Resolved:
    """Round 1 of a small model, trained."""
    with_gpus(0, monkeypatch)
    write_model(tmp_path / "base", max_position_embeddings=1024)
    profile = configs / "profiles" / "cpu.yaml"
    edit(profile, "base_model: models/SmolLM2-135M-Instruct", f"base_model: {tmp_path / 'base'}")
    edit(profile, "embedded: true ", "embedded: false")
    return trained(run("v8"))


def recipe(*arguments: str) -> Any:
    return CliRunner(env={"ALPHA": "", "PROFILE": "cpu", "COLUMNS": "200"}).invoke(root, arguments)


def values(folder: Path) -> Any:
    """A layer's weight in a merged model, or its change in an adapter."""
    if (folder / CONFIG).exists():
        module = next(one for one in open_adapter(folder).modules if one.name == Q)
        a, b = (np.frombuffer(t.content(), "<f4").reshape(t.shape).astype(float) for t in (module.a, module.b))
        return module.scale * b @ a
    tensor = open_checkpoint(folder).tensors[f"{Q}.weight"]
    return np.frombuffer(tensor.content(), "<f4").reshape(tensor.shape).astype(float)


@pytest.mark.parametrize("how", ["adapter", "merged"])
def test_its_weights_go_from_round_1_to_what_came_out(how: str, first: Resolved, tmp_path: Path) -> None:
    second = trained(run("v9b", f"start={how}"), shapes=dict(reversed(adapter_shapes(64).items())))
    folder, base = second.run.folder, values(tmp_path / "base")
    assert recipe("merge", "v9b", "--set", f"start={how}", "--alpha", "0,0.25,1").exit_code == 0
    w1 = base + 0.5625 * values(first.run.train)
    w_ft2 = values(second.run.train) + (w1 if how == "merged" else base)
    for alpha in (0, 0.25, 1):
        np.testing.assert_allclose(values(folder / f"merged-{alpha}"), w1 + alpha * (w_ft2 - w1), rtol=0, atol=1e-4)
    done = recipe("merge", "v9b", "--set", f"start={how}", "--alpha", "0.25", "--as-adapter")
    assert done.exit_code == 0 and "(W + 0." in done.output
    np.testing.assert_allclose(base + values(folder / "adapter-0.25"), values(folder / "merged-0.25"), atol=1e-4)
    again = recipe("merge", "v9b", "--set", f"start={how}", "--alpha", "1")  # alone it is the same result
    assert "is done and up to date" in again.output


def test_it_begins_where_round_1_is_weighed(first: Resolved, tmp_path: Path) -> None:
    plain, merged = run("v9b"), run("v9b", "start=merged")
    for second in (plain, merged):
        assert second.start is not None
        require_start(second, second.start)
        ensure_start(second, second.start)
    w1 = values(tmp_path / "base") + 0.5625 * values(first.run.train)
    np.testing.assert_allclose(values(tmp_path / "base") + values(first.run.folder / "adapter-0.5625"), w1, atol=1e-5)
    np.testing.assert_allclose(values(first.run.folder / "merged-0.5625"), w1, atol=1e-5)
    assert "is done and up to date" in recipe("merge", "v8", "--alpha", "0.5625").output


def evaluation(resolved: Resolved, alpha: float, file: Path) -> Evaluation:
    return evaluation_of(run_target(resolved, alpha), file, resolved, How(), count=1)


def test_at_weight_0_it_is_round_1_and_is_not_asked_again(first: Resolved, tmp_path: Path) -> None:
    second, file = trained(run("v9b")), tmp_path / "questions.json"
    file.write_text("[]")
    before, at_0 = evaluation(first, 0.5625, file), evaluation(second, 0.0, file)
    assert before.step.key == at_0.step.key and before.label == at_0.label == "v8, 0.5625"
    found, _ = sweep_of(second, [0.0, 0.25, 1.0], file, How(), count=3)
    assert [str(one.mixture) for one in found.values()] == [
        "W + 0.5625 v8", "W + 0.421875 v8 + 0.25 v9b", "W + v9b"
    ]  # fmt: skip
    assert evaluation(first, 0.0, file).label == "base (base)" and evaluation(first, 0.0, file).mixture.parts == ()


def test_one_engine_answers_all_weights_of_a_sweep(first: Resolved, tmp_path: Path) -> None:
    (file := tmp_path / "questions.json").write_text("[]")
    found, _ = sweep_of(first, [0.0, 0.5, 1.0], file, How(), count=1_000)
    # On a CPU transformers, which adds adapters to the weights: vLLM's LoRA takes many times as long an answer there.
    assert {one.engine for one in found.values()} == {"vllm" if this_machine().gpu_names else "transformers"}
    alone = evaluation_of(run_target(first, 0.0), file, first, How(), count=1_000)
    assert alone.engine == "vllm"


def test_a_first_round_that_was_trained_again_is_not_what_the_second_started_from(
    first: Resolved, configs: Path
) -> None:
    second = trained(run("v9b"))
    edit(configs / "blends" / "v9b.yaml", "alpha: 0.5625", "alpha: 0.5")
    assert "the training of v9b did not start from W + 0.5 v8 (adapter), as that is now" in refused("v9b")
    edit(configs / "blends" / "v9b.yaml", "alpha: 0.5}", "alpha: 0.5625}")
    assert recipe("merge", "v9b", "--dry-run").exit_code == 0
    other = write_adapter(first.run.folder / "other", adapter_shapes(64), r=64, lora_alpha=31)
    (other / CONFIG).replace(first.run.train / CONFIG)
    assert "did not start from W + 0.5625 v8" in refused("v9b")
    (first.run.train / NAME).unlink()
    assert "the adapter is not trained yet" in refused("v9b") and "-> make train-v8" in refused("v9b")
    assert second.run.train.is_dir()


def refused(blend: str, *more: str) -> str:
    done = recipe("merge", blend, *more, "--dry-run")
    assert isinstance(done.exception, RecipeError), done.output
    return str(done.exception)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("lora_r=8", r"SET: lora_r is 8, but the parent's adapter was trained with 64(.|\n)*start: merged takes any"),
        ("lora_alpha=8", r"SET: lora_alpha is 8, but the parent's adapter was trained with 32"),
        (
            "lora_target_linear=null lora_target_modules='[q_proj]'",
            r"SET: lora_target_linear is None, but .* with True",
        ),
        ("base_model=other/model", r"v8, from which v9b starts, was trained on another base model(.|\n)*parent=same"),
        (
            "lora_r=8 parent=same",
            r"v8\+lora_r=8/train: the adapter is not trained yet(.|\n)*make train-v8 SET=lora_r=8",
        ),
    ],
)
def test_what_does_not_fit_the_parent(overrides: str, said: str, first: Resolved) -> None:
    second = run("v9b", overrides)
    assert second.start is not None
    with pytest.raises(RecipeError, match=said):
        require_start(second, second.start)


def test_beside_the_merged_model_an_adapter_has_any_shape(first: Resolved) -> None:
    second = run("v9b", "lora_r=8 start=merged")
    assert second.start is not None
    require_start(second, second.start)
    assert not list(first.run.folder.glob("merged-*"))  # nothing is written by asking


def test_no_room_for_a_merged_start(first: Resolved, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "free_gib", lambda path: 0.0)
    second = run("v9b", "start=merged")
    assert second.start is not None
    with pytest.raises(RecipeError, match=r"needs about .* GiB, 0\.0 GiB are free"):
        require_start(second, second.start)


def test_dora_has_no_share(first: Resolved, configs: Path) -> None:
    shapes = adapter_shapes(64) | {f"base_model.model.{Q}.lora_magnitude_vector": (8,)}
    for path in first.run.train.iterdir():
        path.unlink()
    first.run.train.rmdir()
    trained(first, shapes=shapes, use_dora=True)
    for how, said in (("adapter", "is a DoRA adapter"), ("merged", "was trained with DoRA")):
        second = run("v9b", f"start={how}")
        assert second.start is not None
        with pytest.raises(RecipeError, match=said):
            require_start(second, second.start)


def test_a_sum_of_adapters_is_of_another_rank(first: Resolved, configs: Path) -> None:
    trained(run("v9b"))
    (configs / "blends" / "third.yaml").write_text("include: v8\nparent: {blend: v9b, alpha: 0.25}\n")
    third = run("third")
    assert third.start is not None
    with pytest.raises(RecipeError, match=r"third.yaml:2: .* is one adapter of rank 128, lora_r is 64(.|\n)*merged"):
        require_start(third, third.start)


@pytest.fixture
def mixed(first: Resolved, tmp_path: Path) -> Callable[..., Any]:
    """`recipe merge` of two adapters into one folder."""
    other = write_adapter(tmp_path / "other")

    def merge(one: str, two: str, *more: str) -> Any:
        added = ("--add", f"{first.run.train}={one}", "--add", f"{other}={two}")
        return recipe("merge", "--base", str(tmp_path / "base"), *added, "--out", str(tmp_path / "out"), *more)

    return merge


@pytest.mark.parametrize("form", [(), ("--as-adapter",)])
def test_a_folder_that_holds_another_mixture_is_kept(form: tuple[str, ...], mixed: Callable[..., Any]) -> None:
    assert mixed("0.5", "0.25", *form).exit_code == 0
    assert "is done and up to date" in mixed("0.5", "0.25", *form).output
    message = str(mixed("0.25", "0.5", *form).exception)
    assert "out: holds another mixture (shares: 0.5 and 0.25)" in message and "choose another --out" in message


def test_vllm_takes_one_adapter_of_a_rank_that_it_knows() -> None:
    made = settings.vllm_settings(max_length=512, dtype="auto", gpus=0, lora_rank=128)
    assert made["max_lora_rank"] == 128 and "max_lora_rank" not in settings.vllm_settings(
        max_length=512, dtype="auto", gpus=0, lora_rank=0
    )
    with pytest.raises(RecipeError, match="one of rank 640 together, vLLM takes 512 at most"):
        settings.vllm_settings(max_length=512, dtype="auto", gpus=0, lora_rank=640)


def test_what_is_shown_tells_the_sums(first: Resolved) -> None:
    listed = recipe("list").output
    assert "v9b at 0.25: W + 0.421875 v8 + 0.25 v9b" in listed and "v8 at 0.5625, adapter" in listed
    shown = recipe("show", "v9b").output
    assert "merged-0.25  W + 0.421875 v8 + 0.25 v9b" in shown and "(W + 0.5625 v8; make train-v8 first)" in shown
