"""The profile a machine gets, and what a machine lacks for one that is asked for."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axolotl_configs import select
from axolotl_configs.costs.architecture import Architecture, model_config
from axolotl_configs.costs.batches import training_batches
from axolotl_configs.costs.planning import make_plan
from axolotl_configs.render import Resolved, resolve
from axolotl_configs.schema import Hardware, load_profile
from axolotl_configs.select import choose, fits, fitting, launched, require_gpus, require_meeting
from dataset_builders.task import task_names
from recipe.steps.plan import plan_request
from spine.errors import RecipeError
from spine.hardware import Device, Machine

# As nvidia-smi reports them, MiB and compute capability; by the names of known/gpus.yaml.
CARDS = {
    "H200": Device("NVIDIA H200", 143771 / 1024, 9.0),
    "H100": Device("NVIDIA H100 80GB HBM3", 81559 / 1024, 9.0),
    "A100-80GB": Device("NVIDIA A100-SXM4-80GB", 81920 / 1024, 8.0),
    "L40S": Device("NVIDIA L40S", 46068 / 1024, 8.9),
    "RTX-A6000": Device("NVIDIA RTX A6000", 49140 / 1024, 8.6),
    "A100-40GB": Device("NVIDIA A100-SXM4-40GB", 40960 / 1024, 8.0),
    "V100": Device("Tesla V100-SXM2-32GB", 32768 / 1024, 7.0),
    "RTX-4090": Device("NVIDIA GeForce RTX 4090", 24564 / 1024, 8.9),
    "A10G": Device("NVIDIA A10G", 23028 / 1024, 8.6),
    "L4": Device("NVIDIA L4", 23034 / 1024, 8.9),
    "T4": Device("Tesla T4", 15360 / 1024, 7.5),
    "RTX-3070": Device("NVIDIA GeForce RTX 3070", 8192 / 1024, 8.6),
    "RTX 2080": Device("NVIDIA GeForce RTX 2080", 8192 / 1024, 7.5),
    "GT 710": Device("NVIDIA GeForce GT 710", 2048 / 1024, 3.5),
}
NONE = Machine((), 2, 8)

read_once = cache(load_profile)


def machine(count: int, card: str, driver: str = "580.65.06") -> Machine:
    return Machine((CARDS[card],) * count, 16, 128, driver)


@cache
def chosen(of: Machine) -> Resolved:
    """The run that `make train-v8` begins there."""
    name, _ = choose(of, None)
    there = len(fitting(of, load_profile(name)[0].hardware))
    return resolve("v8", name, {}, task_names(), there or None)


@pytest.mark.parametrize(
    ("count", "card", "profile", "gpus", "model"),
    [
        (8, "A100-80GB", "8xa100", 8, "72B"),
        (4, "A100-80GB", "4xa100", 4, "72B"),
        (2, "A100-80GB", "1xa100", 2, "72B"),
        (1, "A100-80GB", "1xa100", 1, "72B"),
        (8, "H100", "8xh100", 8, "72B"),
        (4, "H100", "2xh100", 4, "72B"),
        (2, "H100", "2xh100", 2, "72B"),
        (1, "H100", "1xa100", 1, "72B"),
        (1, "H200", "1xh200", 1, "72B"),
        (8, "H200", "1xh200", 8, "72B"),
        (16, "H200", "1xh200", 16, "72B"),
        (8, "A100-40GB", "8x40gb", 8, "32B"),
        (1, "A100-40GB", "1x40gb", 1, "32B"),
        (2, "RTX-A6000", "1x40gb", 2, "32B"),
        (8, "A10G", "8x24gb", 8, "7B"),
        (4, "L4", "1x24gb", 4, "7B"),
        (3, "L4", "1x24gb", 2, "7B"),
        (1, "RTX-4090", "1x24gb", 1, "7B"),
        (4, "T4", "4xt4", 4, "7B"),
        (1, "T4", "1xt4", 1, "7B"),
        (1, "RTX-3070", "1x8gb", 1, "1.5B"),
        (1, "RTX 2080", "cpu", 0, "135M"),
        (1, "GT 710", "cpu", 0, "135M"),
    ],
)
def test_a_machine_gets_the_largest_model_that_fits_it(
    count: int, card: str, profile: str, gpus: int, model: str
) -> None:
    here = machine(count, card)
    run = chosen(here)
    assert run.run.profile == profile
    assert run.profile.hardware.gpus == gpus and f"-{model}-" in run.profile.base_model
    if gpus:  # on paper it fits the card itself, not only the profile's least
        request, _ = plan_request(run)
        assert not make_plan(replace(request, memory_gib=CARDS[card].memory_gib)).faults()
        count, _ = training_batches(run.axolotl, request.rows, request.lengths, run.processes)
        assert 250 < count < 1200  # some hundred steps, as the winners' checkpoints tell of
    require_gpus(here, profile, run.profile.hardware)


@settings(deadline=None)
@given(
    memory=st.integers(1, 200), capability=st.sampled_from([7.5, 8.0, 8.6, 8.9, 9.0, 10.0, 12.0]),
    count=st.integers(1, 17),
)  # fmt: skip
def test_more_of_the_same_cards_never_get_a_smaller_model(memory: int, capability: float, count: int) -> None:
    fewer, more = (Machine((Device("A card", memory, capability),) * number, 16, 128) for number in (count, count + 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(select, "load_profile", read_once)
        profiles = [read_once(choose(here, None)[0])[0] for here in (fewer, more)]
    smaller, larger = (Architecture.of(model_config(profile.base_model)).parameters for profile in profiles)
    assert smaller <= larger
    assert fits(fewer, profiles[0].hardware) and fits(more, profiles[1].hardware)


def test_no_gpu_is_the_cpu_profile_and_one_that_is_too_small_is_told_so() -> None:
    assert choose(NONE, None) == ("cpu", f"chosen for this machine: {NONE}; PROFILE=... overrides")
    assert "whose GPUs are for no profile of `recipe list`" in choose(machine(1, "RTX 2080"), None)[1]


def test_a_card_beside_others_counts_for_itself() -> None:
    mixed = Machine((CARDS["GT 710"], CARDS["RTX-4090"], CARDS["RTX-4090"]), 16, 128)
    assert chosen(mixed).profile.hardware.gpus == 2
    assert str(mixed).startswith("1 x NVIDIA GeForce GT 710 2 GiB and 2 x NVIDIA GeForce RTX 4090 24 GiB, 16 cores")


def test_large_gpus_that_torch_has_no_code_for_are_refused_with_words() -> None:
    with pytest.raises(RecipeError, match=r"GPUs here are too old: 8 x Tesla V100(.|\n)*have 7.0\n  -> PROFILE=cpu"):
        choose(machine(8, "V100"), None)
    assert choose(machine(8, "V100"), "8xa100") == ("8xa100", "asked for")  # it may be planned for another machine
    with pytest.raises(RecipeError, match="GPUs here are too old"):
        require_gpus(machine(8, "V100"), "1x24gb", load_profile("1x24gb")[0].hardware)


def test_a_wanted_profile_is_taken_whatever_the_machine() -> None:
    assert choose(NONE, "8xa100") == ("8xa100", "asked for")
    with pytest.raises(RecipeError, match=r"PROFILE: no profile 'cpux'(.|\n)*'cpu'"):
        choose(NONE, "cpux")


@pytest.mark.parametrize(
    ("here", "profile", "what"),
    [
        (NONE, "8xa100", r"profile 8xa100 trains on 8 GPU\(s\) of 75 GiB; here: no NVIDIA GPU"),
        (machine(8, "A100-40GB"), "8xa100", "the GPUs here are smaller: 8 x NVIDIA A100-SXM4-40GB 40 GiB"),
        (machine(4, "T4"), "1x24gb", "of 22 GiB; the GPUs here are smaller"),
        (Machine((Device("Titan RTX", 24, 7.5),), 16, 128), "1x24gb", "capability 8.0, these have 7.5"),
        (
            machine(8, "A100-80GB", "570.124.06"),
            "8xa100",
            "the NVIDIA driver 570.124.06 is too old: torch .* CUDA 13.0",
        ),
    ],
)
def test_what_a_machine_lacks_is_one_message_with_the_way_out(here: Machine, profile: str, what: str) -> None:
    with pytest.raises(RecipeError, match=what) as error:
        require_gpus(here, profile, load_profile(profile)[0].hardware)
    assert error.value.way_out


def test_fewer_gpus_than_the_profiles_are_enough() -> None:
    needed = load_profile("8xa100")[0].hardware
    require_gpus(machine(1, "A100-80GB"), "8xa100", needed)
    require_gpus(NONE, "cpu", Hardware(gpus=0))
    with pytest.raises(RecipeError, match="trains on 8 GPU"):
        require_gpus(NONE, "8xa100", needed)


def test_the_drivers_library_decides_where_it_says_what_it_runs() -> None:
    """NVIDIA's cuda-compat packages let an older driver run a newer CUDA."""
    needed = load_profile("8xa100")[0].hardware
    require_gpus(replace(machine(8, "A100-80GB", "570.124.06"), cuda=13.0), "8xa100", needed)
    with pytest.raises(RecipeError, match=r"580.65.06 is too old \(it runs CUDA 12.8\)"):
        require_gpus(replace(machine(8, "A100-80GB"), cuda=12.8), "8xa100", needed)


def test_a_variant_is_taken_only_where_it_is_asked_for(configs: Path) -> None:
    (configs / "profiles" / "a-variant.yaml").write_text("include: cpu\n")
    assert choose(NONE, None)[0] == "cpu"
    assert choose(NONE, "a-variant")[0] == "a-variant"


@pytest.mark.parametrize(
    ("arguments", "processes"),
    [
        ("--launcher torchrun -- --nnodes=2 --nproc_per_node=8 --rdzv_endpoint=HOST:29500", 16),
        ("--launcher torchrun -- --nproc-per-node 2", 2),
        ("--launcher accelerate -- --num_processes=4 --num_machines=2", 4),
        ("--launcher torchrun -- --nproc_per_node=gpu", None),
        ("", None),
    ],
)
def test_processes_of_a_launcher_of_ones_own(arguments: str, processes: int | None) -> None:
    assert launched(arguments.split()) == processes


ENDPOINT = "--rdzv_endpoint=first:29500"


@pytest.mark.parametrize("nodes", ["--nnodes=2", "--nnodes 4", "--nnodes=1:2", "--nnodes=16"])
def test_machines_that_would_never_meet_are_refused(nodes: str) -> None:
    with pytest.raises(RecipeError, match="add --rdzv_id=NAME, the same on every machine"):
        require_meeting(["--launcher", "torchrun", "--", *nodes.split(), ENDPOINT])
    require_meeting(["--launcher", "torchrun", "--", *nodes.split(), ENDPOINT, "--rdzv_id=v8"])


@pytest.mark.parametrize(
    "arguments", ["", "--launcher torchrun -- --nnodes=1 --nproc_per_node=2", f"-- --nnodes=1 {ENDPOINT}"]
)
def test_one_machine_needs_no_meeting(arguments: str) -> None:
    require_meeting(arguments.split())
    with pytest.raises(RecipeError, match="wait for each other in vain"):
        require_meeting([*arguments.split(), "--nnodes=2", ENDPOINT])
