"""The profile a machine gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from axolotl_configs.schema import Hardware
from axolotl_configs.select import choose, require_gpus
from recipe.errors import RecipeError
from recipe.hardware import Machine


@pytest.mark.parametrize(
    ("gpus", "gib", "profile"),
    [
        (0, 0, "cpu"),
        (1, 16, "cpu"),
        (1, 24, "1x24gb"),
        (1, 80, "1x24gb"),
        (1, 141, "1xh200"),
        (4, 80, "1x24gb"),
        (8, 40, "1x24gb"),
        (8, 80, "8xa100"),
        (16, 141, "8xa100"),
    ],
)
def test_the_most_demanding_profile_that_fits(gpus: int, gib: float, profile: str) -> None:
    machine = Machine(("A card",) * gpus, (gib,) * gpus, cores=8, memory_gib=64)
    name, reason = choose(machine, None)
    assert name == profile and str(machine) in reason


def test_a_wanted_profile_is_taken_whatever_the_machine() -> None:
    assert choose(Machine((), (), 2, 8), "8xa100") == ("8xa100", "asked for")
    with pytest.raises(RecipeError, match=r"PROFILE: no profile 'cpux'(.|\n)*'cpu'"):
        choose(Machine((), (), 2, 8), "cpux")


def test_a_profile_for_gpus_is_refused_where_there_is_none() -> None:
    needed = Hardware(gpus=8, gpu_memory_gib=75)
    with pytest.raises(RecipeError, match=r"profile 8xa100 trains on 8 GPU\(s\) of 75 GiB; here: no NVIDIA GPU"):
        require_gpus(Machine((), (), 2, 8), "8xa100", needed)
    require_gpus(Machine(("A card",) * 4, (80.0,) * 4, 2, 8), "8xa100", needed)
    require_gpus(Machine((), (), 2, 8), "cpu", Hardware(gpus=0))


def test_a_variant_is_taken_only_where_it_is_asked_for(configs: Path) -> None:
    (configs / "profiles" / "a-variant.yaml").write_text("include: cpu\n")
    assert choose(Machine((), (), 2, 8), None)[0] == "cpu"
    assert choose(Machine((), (), 2, 8), "a-variant")[0] == "a-variant"
