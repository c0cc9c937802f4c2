"""What a second round starts from, and the sum that comes out at a wise-ft weight, beside the formulae in numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axolotl_configs.render import Resolved, parse_set, resolve
from axolotl_configs.rounds import Start, mixture_of
from dataset_builders.task import task_names
from spine.errors import RecipeError
from spine.mixture import Mixture
from spine.runs import Run
from tests.conftest import edit


def run(blend: str = "v9b", overrides: str = "") -> Resolved:
    return resolve(blend, "cpu", parse_set(overrides), task_names())


SHARE = st.floats(0, 1)


@given(SHARE, SHARE, SHARE, *[st.floats(-1, 1)] * 3, st.lists(st.sampled_from(["adapter", "merged"]), min_size=2))
def test_rounds_are_relative_to_the_one_before(
    a1: float, a2: float, a3: float, d1: float, d2: float, d3: float, how: list[str]
) -> None:
    """One weight of a model stands for all. ``d``: what each round's own adapter adds to the base."""
    first, second, third = (Run("cpu", name) for name in ("r1", "r2", "r3"))
    change = dict(zip((str(one.train) for one in (first, second, third)), (d1, d2, d3), strict=True))

    def value(mixture: Mixture) -> float:
        return sum(share * change[folder] for folder, share in mixture.shares.items())

    to_second = Start(first, a1, how[0], None)
    to_third = Start(second, a2, how[1], to_second)
    w1 = a1 * d1
    w2 = w1 + a2 * ((d2 if how[0] == "adapter" else w1 + d2) - w1)
    w3 = w2 + a3 * ((d3 if how[1] == "adapter" else w2 + d3) - w2)
    assert value(to_second.mixture) == pytest.approx(w1) and value(to_third.mixture) == pytest.approx(w2)
    assert value(mixture_of(Mixture.of(third.train), to_third, a3)) == pytest.approx(w3)
    assert mixture_of(Mixture.of(third.train), to_third, 0.0) == to_third.mixture


def test_the_winners_second_round() -> None:
    plain, merged = run(), run(overrides="start=merged")
    assert str(plain.mixture(0.25)) == "W + 0.421875 v8 + 0.25 v9b"
    assert str(merged.mixture(0.25)) == "W + 0.5625 v8 + 0.25 v9b"
    assert str(plain.mixture(0)) == str(merged.mixture(0)) == "W + 0.5625 v8"
    assert str(plain.mixture(1)) == "W + v9b" and str(run("v7b").mixture(0.5)) == "W + 0.5 v7 + 0.5 v7b"
    assert run("v8").start is None and str(run("v8").mixture(0)) == "W"


def test_where_a_training_starts_is_what_axolotl_is_told() -> None:
    plain, merged = run(), run(overrides="start=merged")
    assert plain.axolotl["lora_model_dir"].endswith("cpu/v8/adapter-0.5625")
    assert plain.axolotl["base_model"] == plain.profile.base_model == merged.profile.base_model
    assert merged.axolotl["base_model"].endswith("cpu/v8/merged-0.5625") and "lora_model_dir" not in merged.axolotl
    assert "# round 1's model, merged: W + 0.5625 v8" in merged.yaml and "start" not in merged.axolotl


def test_a_blend_says_it_in_full_or_in_short(configs: Path) -> None:
    edit(configs / "blends" / "v9b.yaml", "parent: {blend: v8, alpha: 0.5625}", "parent: v8")
    assert str(run().mixture(0.25)) == "W + 0.75 v8 + 0.25 v9b"
    edit(configs / "blends" / "v9b.yaml", "parent: v8", "parent: {blend: v8, start: merged}")
    assert (
        str(run().mixture(0.25)) == "W + v8 + 0.25 v9b" and str(run(overrides="start=adapter").mixture(1)) == "W + v9b"
    )


def test_a_third_round_follows_the_second(configs: Path) -> None:
    (configs / "blends" / "third.yaml").write_text("include: v8\nparent: {blend: v9b, alpha: 0.5}\n")
    assert str(run("third").mixture(0.5)) == "W + 0.140625 v8 + 0.25 v9b + 0.5 third"
    same = run("third", "lora_r=32 parent=same start=merged")
    assert same.start is not None and same.start.before is not None
    assert same.start.before.parent == Run.of("cpu", "v8", {"lora_r": 32}) and same.start.before.how == "merged"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("parent: v9b", r"v9b.yaml:7: circular parents: v9b -> v9b"),
        ("parent: {blend: v7b}", r"v7b.yaml:7: circular parents: v9b -> v7b -> v9b"),
        ("parent: {blend: v80}", r"v9b.yaml:7: no blend 'v80'(.|\n)*did you mean 'v8'"),
        ("parent: {blend: v8, alpa: 1.0}", r"v9b.yaml:7: unknown key 'alpa'(.|\n)*did you mean 'alpha'"),
        ("parent: {blend: v8, alpha: 1.5}", r"v9b.yaml:7: 'parent.alpha': .*less than or equal to 1"),
        ("parent: {blend: v8, start: middle}", r"v9b.yaml:7: 'parent.start': .*'adapter' or 'merged'"),
        ("parent: {alpha: 0.5}", r"v9b.yaml:7: 'parent.blend': field required"),
    ],
)
def test_a_parent_that_is_none(said: str, message: str, configs: Path) -> None:
    edit(configs / "blends" / "v9b.yaml", "parent: {blend: v8, alpha: 0.5625}", said)
    if "v7b" in said:
        edit(configs / "blends" / "v7b.yaml", "parent: {blend: v7, alpha: 1.0}", "parent: v9b")
    with pytest.raises(RecipeError, match=message):
        run()


@pytest.mark.parametrize(
    ("blend", "overrides", "message"),
    [
        ("v8", "start=merged", "SET: v8 is no second round: it has no parent for start="),
        ("v9b", "start=base", "SET: start=base is not known(.|\n)*start=merged"),
    ],
)
def test_a_start_that_is_none(blend: str, overrides: str, message: str, **_: Any) -> None:
    with pytest.raises(RecipeError, match=message):
        run(blend, overrides)
