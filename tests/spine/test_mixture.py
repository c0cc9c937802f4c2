"""Mixtures add up as the sums do that they stand for, and one adapter is exactly such a sum."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.adapter import CONFIG, WEIGHTS, open_adapter
from spine.checkpoint import header_bytes
from spine.errors import RecipeError
from spine.mixture import BASE, Mixture, Part, weights_of
from spine.one_adapter import one_adapter_step, rank_of, write_one_adapter
from tests.postprocess.checkpoints import HIDDEN, WIDTH, adapter_shapes, write_adapter

AT = "base_model.model."
SHARES = st.floats(-2, 2, allow_subnormal=False)
MIXTURES = st.builds(
    Mixture.sum_of, st.lists(st.builds(Part, st.sampled_from("abc"), SHARES, st.sampled_from("abc")), max_size=4)
)


@given(MIXTURES, MIXTURES, st.floats(-2, 2, allow_subnormal=False))
def test_they_add_up_and_are_multiplied_folder_by_folder(one: Mixture, two: Mixture, factor: float) -> None:
    for folder in "abc":
        shares = [mixture.shares.get(folder, 0.0) for mixture in (one, two)]
        assert (one + two).shares.get(folder, 0.0) == sum(shares)
        assert (one * factor).shares.get(folder, 0.0) == factor * shares[0]
    assert all(part.share for part in (one + two).parts) and one + BASE == one
    folders, rows = weights_of([one, two])
    assert [dict(zip(folders, row, strict=True)).get("a", 0.0) for row in rows] == [
        mixture.shares.get("a", 0.0) for mixture in (one, two)
    ]


def test_they_are_told_as_a_formula() -> None:
    made = Mixture.of(Path("runs/v8/train"), 0.421875, "v8") + Mixture.of(Path("runs/v9b/train"), 0.25, "v9b")
    assert str(made) == "W + 0.421875 v8 + 0.25 v9b"
    assert (str(BASE), str(made * -1), str(Mixture.of(Path("x")))) == ("W", "W - 0.421875 v8 - 0.25 v9b", "W + x")


def deltas(folder: Path) -> dict[str, Any]:
    """scale * B A of every module, in float64."""
    found = {}
    for module in open_adapter(folder).modules:
        a, b = (
            np.frombuffer(tensor.content(), "<f4" if tensor.dtype == "F32" else ml_dtypes.bfloat16)
            .reshape(tensor.shape)
            .astype(np.float64)
            for tensor in (module.a, module.b)
        )
        found[module.name] = module.scale * b @ a
    return found


def write_bf16(folder: Path, shapes: dict[str, tuple[int, ...]], **config: Any) -> Path:
    write_adapter(folder, shapes, **config)
    random = np.random.default_rng(7)
    header, _ = header_bytes({name: ("BF16", shape) for name, shape in shapes.items()})
    content = (random.standard_normal(shape).astype(ml_dtypes.bfloat16).tobytes() for shape in shapes.values())
    (folder / WEIGHTS).write_bytes(header + b"".join(content))
    return folder


def test_one_adapter_is_the_sum_whatever_ranks_scales_types_and_layers(tmp_path: Path) -> None:
    first = write_adapter(tmp_path / "one", lora_alpha=1, target_modules=["q_proj", "down_proj"])
    more = {f"{AT}model.layers.0.mlp.up_proj.lora_A.weight": (3, HIDDEN),
            f"{AT}model.layers.0.mlp.up_proj.lora_B.weight": (WIDTH, 3)}  # fmt: skip
    second = write_bf16(tmp_path / "two", adapter_shapes(3) | more, r=3, use_rslora=True)
    mixture = Mixture.of(first, 0.421875) + Mixture.of(second, 0.25)
    write_one_adapter(mixture, tmp_path / "both")
    made, parts = deltas(tmp_path / "both"), (deltas(first), deltas(second))
    assert made.keys() == parts[0].keys() | parts[1].keys() and rank_of(mixture) == 5
    for name, delta in made.items():
        wanted = 0.421875 * parts[0].get(name, 0.0) + 0.25 * parts[1].get(name, 0.0)
        np.testing.assert_allclose(delta, wanted, rtol=0, atol=2e-6 * np.abs(wanted).max())
    assert open_adapter(tmp_path / "both").ranks == (5,)
    config = json.loads((tmp_path / "both" / CONFIG).read_text())
    assert "model.layers.0.mlp.up_proj" in config["target_modules"]


def test_a_weighed_adapter_keeps_its_shape_and_its_a(tmp_path: Path) -> None:
    """A training that goes on from it has the rank and the scale that the YAML says."""
    folder = write_adapter(tmp_path / "one", lora_alpha=1, target_modules=["q_proj", "down_proj"])
    write_one_adapter(Mixture.of(folder, 0.5625), tmp_path / "weighed")
    before, after = (json.loads((path / CONFIG).read_text()) for path in (folder, tmp_path / "weighed"))
    assert {key: after[key] for key in before} == before and isinstance(after["lora_alpha"], int)
    for old, new in zip(open_adapter(folder).modules, open_adapter(tmp_path / "weighed").modules, strict=True):
        assert new.a.content() == old.a.content() and new.scale == old.scale
        b = np.frombuffer(old.b.content(), "<f4") * np.float32(0.5625)
        assert np.array_equal(np.frombuffer(new.b.content(), "<f4"), b)


def test_it_is_a_step_that_an_adapter_or_a_share_changes(tmp_path: Path) -> None:
    folder, out = write_adapter(tmp_path / "one"), tmp_path / "out"
    step = one_adapter_step(Mixture.of(folder, 0.5), out)
    write_one_adapter(Mixture.of(folder, 0.5), out, step)
    assert step.is_done() and not one_adapter_step(Mixture.of(folder, 0.25), out).is_done()
    write_adapter(tmp_path / "other", adapter_shapes(4), r=4)
    (tmp_path / "other" / WEIGHTS).replace(folder / WEIGHTS)
    assert one_adapter_step(Mixture.of(folder, 0.5), out).why() == "changed: mixture"


@pytest.mark.parametrize(
    ("shapes", "config", "said"),
    [
        ({f"{AT}x.lora_magnitude_vector": (HIDDEN,)}, {"use_dora": True}, "is a DoRA adapter"),
        ({f"{AT}lm_head.weight": (4, HIDDEN)}, {}, r"'lm_head.weight', trained in full"),
        ({f"{AT}x.lora_B.bias": (HIDDEN,)}, {}, r"more than two factors for x"),
    ],
)
def test_what_is_no_product_of_factors_has_no_share(
    shapes: dict[str, tuple[int, ...]], config: dict[str, Any], said: str, tmp_path: Path
) -> None:
    layer = {f"{AT}x.lora_A.weight": (2, HIDDEN), f"{AT}x.lora_B.weight": (HIDDEN, 2)}
    odd = write_adapter(tmp_path / "odd", layer | shapes, **config)
    with pytest.raises(RecipeError, match=said):
        write_one_adapter(Mixture.of(odd, 0.5) + Mixture.of(write_adapter(tmp_path / "one")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_adapters_of_different_models_are_told(tmp_path: Path) -> None:
    wide = {name: (2 * shape[0], 2) if "lora_B" in name else shape for name, shape in adapter_shapes().items()}
    both = Mixture.of(write_adapter(tmp_path / "one")) + Mixture.of(write_adapter(tmp_path / "two", wide))
    with pytest.raises(RecipeError, match=r"q_proj differs.*\(8, 8\) in .*one, \(16, 8\) in .*two"):
        write_one_adapter(both, tmp_path / "out")
