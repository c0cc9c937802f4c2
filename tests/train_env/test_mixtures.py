"""Mixtures beside PEFT's own sums of adapters and its merges, one after the other; both starts of a second round.

Everything is in fp32, so that what differs is fp32's rounding.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from axolotl_configs.rounds import Start, mixture_of  # noqa: E402
from postprocess.merge.plan import MergeJob  # noqa: E402
from spine.mixture import Mixture  # noqa: E402
from spine.one_adapter import write_one_adapter  # noqa: E402
from spine.paths import ROOT  # noqa: E402
from spine.runs import Run  # noqa: E402
from tests.train_env.picos import (  # noqa: E402
    assert_close,
    blended,
    load,
    logits,
    merge,
    peft_merged,
    peft_model,
    tensors,
    write,
    write_adapter,
    write_model,
)

A1, A2 = 0.5625, 0.25


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "base", "qwen2")


@pytest.fixture(scope="module")
def first(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapter(base, tmp_path_factory.mktemp("models") / "first")


def merged(base: Path, mixture: Mixture, out: Path) -> Path:
    write(replace(MergeJob.mixing(base, {out: mixture}), device="cpu"))
    return out


def in_peft(base: Path, mixture: Mixture, **how: Any) -> Any:
    """The model with PEFT's own weighted sum of the adapters."""
    one, *others = mixture.parts
    model = peft_model(base, Path(one.folder))
    for number, part in enumerate(others):
        model.load_adapter(part.folder, f"other{number}")
    names = ["default", *(f"other{number}" for number in range(len(others)))]
    model.add_weighted_adapter(names, [part.share for part in mixture.parts], "sum", combination_type="cat", **how)
    model.set_adapter("sum")
    return model.eval()


@pytest.mark.parametrize(
    "settings",
    [{"r": 4}, {"r": 2, "lora_alpha": 3, "use_rslora": True}, {"r": 3, "target_modules": ["q_proj", "down_proj"]}],
)
def test_a_mixture_is_what_peft_makes_of_weighted_adapters(
    settings: dict[str, Any], base: Path, first: Path, tmp_path: Path
) -> None:
    mixture = Mixture.of(first, 0.421875) + Mixture.of(write_adapter(base, tmp_path / "two", seed=2, **settings), A2)
    theirs = in_peft(base, mixture)
    answers = logits(theirs)
    whole = dict(theirs.merge_and_unload().state_dict())
    assert_close(tensors(merged(base, mixture, tmp_path / "merged")), whole)
    write_one_adapter(mixture, tmp_path / "one")
    assert_close(peft_merged(base, tmp_path / "one"), whole)
    torch.testing.assert_close(logits(peft_model(base, tmp_path / "one")), answers, rtol=1e-5, atol=2e-5)
    assert_close(tensors(merge(base, [tmp_path / "one"], [1.0], tmp_path / "of-one")), whole)


def test_three_adapters_are_one(base: Path, first: Path, tmp_path: Path) -> None:
    others = [write_adapter(base, tmp_path / f"{seed}", seed=seed) for seed in (2, 3)]
    mixture = Mixture.of(first, 0.5) + Mixture.of(others[0], 0.25) + Mixture.of(others[1], 0.125)
    whole = dict(in_peft(base, mixture).merge_and_unload().state_dict())
    assert_close(tensors(merged(base, mixture, tmp_path / "merged")), whole)
    write_one_adapter(mixture, tmp_path / "one")
    assert_close(peft_merged(base, tmp_path / "one"), whole)


@pytest.fixture
def rounds(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Round 1's run, whose adapter is ``first``."""
    run = Run("cpu", "v8")
    monkeypatch.setattr("spine.runs.RUNS", tmp_path / "runs")
    run.train.parent.mkdir(parents=True)
    run.train.symlink_to(first)
    return run


def test_a_second_round_that_starts_from_the_adapter(base: Path, first: Path, rounds: Run, tmp_path: Path) -> None:
    """It begins exactly at W1, and W2 = W1 + a2 (W_ft2 - W1)."""
    start = Start(rounds, A1, "adapter", None)
    write_one_adapter(start.mixture, start.folder)
    w1 = {name: tensor.clone() for name, tensor in tensors(merge(base, [first], [A1], tmp_path / "w1")).items()}
    assert_close(peft_merged(base, start.folder), w1)
    torch.testing.assert_close(
        logits(peft_model(base, start.folder)), logits(load(tmp_path / "w1")), rtol=1e-5, atol=2e-5
    )
    trained = write_adapter(base, tmp_path / "trained", seed=5)
    wanted = blended(w1, peft_merged(base, trained), A2)
    mixture = mixture_of(Mixture.of(trained), start, A2)
    assert [part.share for part in mixture.parts] == [(1 - A2) * A1, A2]
    assert_close(tensors(merged(base, mixture, tmp_path / "w2")), wanted)


def test_a_second_round_that_starts_from_the_merged_model(base: Path, first: Path, rounds: Run, tmp_path: Path) -> None:
    """Two merges of PEFT, one after the other: the first's result is the second's base."""
    start = Start(rounds, A1, "merged", None)
    model = peft_model(base, first)
    for module in model.modules():
        if isinstance(getattr(module, "scaling", None), dict):
            module.scaling["default"] *= A1
    model.merge_and_unload().save_pretrained(start.folder)
    assert_close(tensors(merged(base, start.mixture, tmp_path / "ours")), tensors(start.folder))
    trained = write_adapter(start.folder, tmp_path / "trained", seed=5)
    wanted = blended(tensors(start.folder), peft_merged(start.folder, trained), A2)
    mixture = mixture_of(Mixture.of(trained), start, A2)
    assert [part.share for part in mixture.parts] == [A1, A2]
    assert_close(tensors(merged(base, mixture, tmp_path / "w2")), wanted)


def test_axolotl_begins_where_it_is_told(base: Path, rounds: Run, tmp_path: Path) -> None:
    """Its own loader, in fp32 and without 4 bit: the first forward pass is W1's, and only factors are trained."""
    from axolotl.loaders import ModelLoader, load_tokenizer
    from axolotl.utils.config import normalize_config, validate_config
    from axolotl.utils.dict import DictDefault

    from axolotl_configs.render import parse_set, resolve
    from dataset_builders.task import task_names
    from recipe.smoke import pico

    tokenizer = ROOT / "models" / "SmolLM2-135M-Instruct"
    if not tokenizer.is_dir():
        pytest.skip("needs the embedded model: recipe model")
    pico.write(tokenizer, tmp_path / "pico")
    load(tmp_path / "pico").save_pretrained(tmp_path / "pico")  # in fp32
    rounds.train.unlink()
    write_adapter(tmp_path / "pico", rounds.train, r=64, lora_alpha=32)
    start = Start(rounds, A1, "adapter", None)
    write_one_adapter(start.mixture, start.folder)
    settings = resolve("v8", "cpu", parse_set(f"base_model={tmp_path / 'pico'}"), task_names()).axolotl
    plain = {"adapter": "lora", "load_in_4bit": False, "bnb_config_kwargs": None, "bf16": False, "plugins": None}
    config = validate_config(DictDefault({**settings, **plain, "lora_model_dir": str(start.folder)}))
    normalize_config(config)
    model = ModelLoader(config, load_tokenizer(config)).load()[0].float()
    trained = {name.rpartition(".lora_")[2][0] for name, value in model.named_parameters() if value.requires_grad}
    merge(tmp_path / "pico", [rounds.train], [A1], tmp_path / "w1")
    torch.testing.assert_close(logits(model.eval()), logits(load(tmp_path / "w1")), rtol=1e-4, atol=1e-4)
    assert trained == {"A", "B"} and model.peft_config["default"].r == 64
