"""The plan's arithmetic: against published figures, by its properties, and what it offers where a run does not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axolotl_configs.costs.architecture import Architecture, model_config
from axolotl_configs.costs.batches import Lengths
from axolotl_configs.costs.duration import Gpu
from axolotl_configs.costs.host_memory import Machine
from axolotl_configs.costs.known_figures import environments, gpu, usual_memory
from axolotl_configs.costs.memory import NF4, cpu_parts, gpu_parts, loading_bytes
from axolotl_configs.costs.planning import GIB, Request, four_bit_bytes, make_plan, require_known, ways_out
from axolotl_configs.select import CUDA, DRIVER, OLDEST
from spine.errors import RecipeError
from spine.paths import ROOT

BIG = Architecture.of(model_config("Qwen/Qwen2-72B-Instruct"))
SMALL = Architecture.of(model_config("Qwen/Qwen2-0.5B-Instruct"))
# The model of Qwen's published profile: the first Qwen-72B, whose heads are not grouped.
FIRST_72B = Architecture(8192, 24576, 80, 64, 8192, 8192, 152064, False, False)
SETTINGS: dict[str, Any] = {
    "load_in_4bit": True, "lora_r": 64, "lora_dropout": 0.05, "gradient_checkpointing": True, "micro_batch_size": 1,
    "gradient_accumulation_steps": 4, "sequence_len": 3072, "optimizer": "adamw_torch_fused", "num_epochs": 1,
    "eval_steps": 0.1,
}  # fmt: skip
ZERO = {stage: {"zero_optimization": {"stage": stage}} for stage in (0, 1, 2, 3)}
A100 = Gpu("A100-80GB", 312e12, 2039e9, 300e9)
EVEN = Lengths(140, [1.0])


def total(changes: dict[str, Any], model: Architecture = BIG, gpus: int = 8) -> float:
    return sum(part.nbytes for part in gpu_parts({**SETTINGS, **changes}, model, gpus))


def asked(changes: dict[str, Any] | None = None, **more: Any) -> Request:
    usual = Request(
        settings={**SETTINGS, "deepspeed": "axolotl_configs/deepspeed/zero2.json", **(changes or {})}, model=BIG,
        gpus=8, gpu=A100, memory_gib=75, rows=500_000, val_rows=2000, lengths=Lengths(142, [0.5, 1.5]), alphas=1,
        second_base=False, padded=29696, group=128, scratch=1.5, backend="gptqmodel", serving=8,
        machine=Machine(1152, False, "rented"),
    )  # fmt: skip
    return replace(usual, **more)


def test_nf4_has_the_scales_of_the_paper() -> None:
    bits_of_scales = 8 * (NF4 - 0.5)  # a parameter; QLoRA, section 3
    assert bits_of_scales == pytest.approx(0.127, abs=0.0005)


# GB on one A100 for rows of so many tokens (github.com/QwenLM/Qwen, README). Its weights are GPTQ's, as large as NF4's.
@pytest.mark.parametrize(("tokens", "published"), [(256, 61.4), (512, 61.4), (1024, 62.9), (2048, 64.1)])
def test_memory_is_that_of_the_published_profile(tokens: int, published: float) -> None:
    planned = sum(part.nbytes for part in gpu_parts({**SETTINGS, "sequence_len": tokens}, FIRST_72B, 1))
    assert planned / 1e9 == pytest.approx(published, rel=0.05)


def test_quantised_sizes_are_those_of_the_winners_folder() -> None:
    packed, rest = four_bit_bytes(replace(BIG, inner=29696), 128)
    assert packed / 1e9 == pytest.approx(37, abs=0.5) and (packed + rest) / 1e9 == pytest.approx(41.6, abs=0.05)
    assert 2 * BIG.parameters / 1e9 == pytest.approx(144, abs=2)


@given(st.integers(1, 8), st.integers(256, 8192), st.sampled_from([1, 2, 8, 64]), st.sampled_from([0, 1, 2, 3]))
@settings(max_examples=60, deadline=None)
def test_memory_grows_with_what_is_asked_and_shrinks_with_each_stage(
    micro: int, length: int, gpus: int, stage: int
) -> None:
    changes = {"micro_batch_size": micro, "sequence_len": length, "deepspeed": ZERO[stage]}
    here = total(changes, gpus=gpus)
    assert total({**changes, "micro_batch_size": micro + 1}, gpus=gpus) > here
    assert total({**changes, "sequence_len": length + 256}, gpus=gpus) > here
    assert total({**changes, "lora_r": 128}, gpus=gpus) > here
    assert total({**changes, "load_in_4bit": False}, gpus=gpus) > here
    assert total({**changes, "optimizer": "adamw_bnb_8bit"}, gpus=gpus) < here
    if 0 < stage < 2 and gpus > 1:
        assert total({**changes, "deepspeed": ZERO[stage + 1]}, gpus=gpus) < here
    if gpus > 1 and stage:
        assert total(changes, gpus=2 * gpus) < here


def test_zero_3_splits_the_base_but_not_while_it_is_loaded() -> None:
    two, three = ({**SETTINGS, "deepspeed": ZERO[stage]} for stage in (2, 3))
    assert total(three) < 0.5 * total(two)
    assert loading_bytes(three, BIG, 8) > NF4 * BIG.linear  # a quantised model is not loaded in parts
    unquantised = {**three, "load_in_4bit": False}
    assert loading_bytes(unquantised, BIG, 8) < 0.2 * loading_bytes({**unquantised, "deepspeed": ZERO[2]}, BIG, 8)


def test_without_checkpointing_every_layer_keeps_its_activations() -> None:
    with_it, without = (total({"gradient_checkpointing": on}, SMALL, 1) for on in (True, False))
    assert without > with_it
    on_cpu = {part.name: part.nbytes for part in cpu_parts({**SETTINGS, "gradient_checkpointing": False}, SMALL)}
    assert on_cpu["activations"] > SMALL.layers * 3072 * 2 * SMALL.hidden


def host(model: Architecture = BIG, **more: Any) -> dict[str, float]:
    return {part.name: part.nbytes for part in make_plan(asked(model=model, **more)).host}


@given(st.integers(2, 200))
@settings(max_examples=20, deadline=None)
def test_only_autoawq_needs_memory_for_every_layer(layers: int) -> None:
    here, deeper = (replace(BIG, layers=count) for count in (layers, 2 * layers))
    steps = {name: deeper_bytes - host(here)[name] for name, deeper_bytes in host(deeper).items()}
    norms = 2 * (deeper.others - here.others)  # of the ends, with the last norm
    assert {name for name, more in steps.items() if more > norms} == set()
    more = host(deeper, backend="autoawq")["awq"] - host(here, backend="autoawq")["awq"]
    assert more == pytest.approx(2 * (deeper.parameters - here.parameters))


def test_what_the_machine_lacks_is_said_as_far_as_it_is_known() -> None:
    assert host(backend="autoawq")["awq"] > 145.4e9 > 3 * host()["train"] / 2
    assert host(gpus=4)["train"] == host()["train"] / 2
    small = Machine(128, True, "this machine's")
    assert make_plan(asked(machine=small)).short_of_memory() == []
    lacking = make_plan(asked(machine=small, backend="autoawq"))
    assert [fault.split(" needs")[0] for fault in lacking.short_of_memory()] == ["awq"] and not lacking.faults()
    assert make_plan(asked(machine=Machine(None, False, "unknown"), backend="autoawq")).short_of_memory() == []
    on_cpu = make_plan(asked(model=SMALL, gpus=0, gpu=None, memory_gib=1, machine=replace(small, memory_gib=1)))
    assert on_cpu.host[0].nbytes == on_cpu.memory and "train" not in " ".join(on_cpu.short_of_memory())


def test_environments_have_what_torch_and_the_profiles_ask_for() -> None:
    known = environments()
    assert (known.driver, float(known.cuda), known.capability) == (DRIVER, CUDA, OLDEST)
    assert f"torch=={known.torch}" in (ROOT / "requirements" / "train.txt").read_text().split()
    without = known.sizes(gpu=False)
    for name, (fetched, there) in known.sizes(gpu=True).items():
        assert fetched >= without[name][0] > 0 and there >= without[name][1] > fetched / 2
    assert usual_memory("A100-80GB") == 144 and usual_memory("RTX-3090") is None


def test_a_plan_that_fits_leaves_no_fault() -> None:
    plan = make_plan(asked())
    assert plan.faults() == [] and plan.memory < 75 * GIB
    assert [step.name for step in plan.steps] == ["base", "data", "prepared", "train", "merge", "awq", "pad"]
    assert plan.disk == sum(step.nbytes for step in plan.steps) + 1.5 * 2 * BIG.parameters
    three = make_plan(asked(alphas=3, padded=None))
    assert [step.name for step in three.steps][-1] == "awq"
    assert three.steps[4].nbytes == 3 * plan.steps[4].nbytes
    told = json.loads(json.dumps(plan.as_json()))
    assert told["memory_bytes"] == plan.memory and told["training"]["steps"] == 15625


@pytest.mark.parametrize(
    ("changes", "more", "way"),
    [
        ({"micro_batch_size": 8}, {}, 'SET="micro_batch_size=2 gradient_accumulation_steps=16"'),
        ({"gradient_checkpointing": False}, {}, 'SET="gradient_checkpointing=true"'),
        ({"sequence_len": 16384}, {}, 'SET="sequence_len=2048"'),
        ({"deepspeed": None}, {"memory_gib": 57.0}, 'SET="deepspeed=axolotl_configs/deepspeed/zero2.json"'),
        ({}, {"memory_gib": 50.0}, 'SET="deepspeed=axolotl_configs/deepspeed/zero3.json"'),
        ({"load_in_4bit": False}, {}, 'SET="adapter=qlora load_in_4bit=true load_in_8bit=false"'),
        ({"micro_batch_size": 64, "gradient_checkpointing": False}, {},
         'SET="gradient_checkpointing=true micro_batch_size=1 gradient_accumulation_steps=256"'),
    ],
)  # fmt: skip
def test_what_would_fit_is_said(changes: dict[str, Any], more: dict[str, Any], way: str) -> None:
    wanted = asked(changes, **more)
    assert make_plan(wanted).faults() and way in ways_out(wanted)


def test_what_cannot_even_be_loaded_has_no_way_out_by_settings() -> None:
    wanted = asked(gpus=1, memory_gib=22.0)
    assert [fault.split(" needs")[0] for fault in make_plan(wanted).faults()] == ["training", "loading the model"]
    assert ways_out(wanted) == []


def test_rows_that_share_a_step_stay_as_many() -> None:
    for way in ways_out(asked({"micro_batch_size": 8})):
        if "micro_batch_size" in way:
            micro, accumulation = (int(part.strip('"').split("=")[-1]) for part in way.removeprefix('SET="').split())
            assert micro * accumulation == 8 * 4


def test_what_is_not_known_is_refused_by_name(configs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError, match=r"no GPU 'H20' .*\n  -> did you mean 'H200'"):
        gpu("H20", "profile x")
    with pytest.raises(RecipeError, match="does not say which GPUs"):
        gpu(None, "profile x")
    with pytest.raises(RecipeError, match="models of type 'mixtral' are not known to the plan"):
        require_known({"model_type": "mixtral"})
    with pytest.raises(RecipeError, match="FSDP"):
        make_plan(asked({"fsdp_config": {"version": 2}}))
    with pytest.raises(RecipeError, match="no such file"):
        make_plan(asked({"deepspeed": "no/such.json"}))
    (configs / "known" / "gpus.yaml").write_text("# recipe plan\nH300: {tflops: 1}\n")
    monkeypatch.setattr("axolotl_configs.costs.known_figures.CONFIGS", configs)
    with pytest.raises(RecipeError, match=r"gpus.yaml:2: 'H300' needs tflops, bandwidth and link"):
        gpu("H300", "profile x")
    (configs / "known" / "environments.yaml").write_text("torch: 2.13.0\ngpu: {train: [1, 2]}\n")
    with pytest.raises(RecipeError, match=r"environments.yaml:1: 'cuda': field required(.|\n)*'driver'"):
        environments()
