"""The plan's arithmetic: against published figures, by its properties, and what it offers where a run does not fit."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axolotl_configs import render
from axolotl_configs.costs.architecture import Architecture, model_config
from axolotl_configs.costs.batches import Lengths, first_fit, held_out_batches, training_batches
from axolotl_configs.costs.duration import COMPUTE_SHARE, Gpu, duration, token_flops
from axolotl_configs.costs.host_memory import Machine
from axolotl_configs.costs.known_figures import environments, expected_lengths, gpu, measured_lengths, usual_memory
from axolotl_configs.costs.memory import NF4, cpu_parts, gpu_parts, loading_bytes
from axolotl_configs.costs.planning import GIB, Request, four_bit_bytes, make_plan, require_known, ways_out
from axolotl_configs.render import resolve
from axolotl_configs.schema import load_profile, names
from axolotl_configs.select import CUDA, DRIVER, OLDEST
from dataset_builders.task import task_names
from spine.errors import RecipeError
from spine.paths import CONFIGS, ROOT

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


def test_a_further_token_costs_what_the_published_speeds_say() -> None:
    published = {
        2048: 59.5,
        4096: 97.7,
        8192: 179.8,
    }  # seconds for 8 rows, same place; fused attention halves the context
    flops = {tokens: 8 * tokens * token_flops(FIRST_72B, 64, tokens / 2) for tokens in published}
    for shorter, longer in ((2048, 4096), (4096, 8192), (2048, 8192)):
        reached = (flops[longer] - flops[shorter]) / (published[longer] - published[shorter])
        assert reached / 312e12 == pytest.approx(COMPUTE_SHARE, abs=0.01)


def test_the_winners_day_and_their_second_round_come_out() -> None:
    for blend, hours in (("v8", (23.5, 24.5)), ("v9b", (3, 8)), ("v7b", (3, 8))):
        resolved = resolve(blend, "8xa100-rows", {}, task_names())
        rows = sum(portion.rows for portion in resolved.portions)
        lengths = expected_lengths(resolved.portions, BIG.vocabulary)
        found = duration(resolved.axolotl, BIG, rows, resolved.profile.val_rows, lengths, 8, gpu("A100-80GB", "here"))
        assert hours[0] < found.seconds / 3600 < hours[1]


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


def test_a_batch_is_as_long_as_its_longest_row() -> None:
    draw = random.Random(1)
    spread = [0.4, 0.6, 0.8, 1.0, 2.2]
    lengths = Lengths(100, spread)
    for count in (1, 2, 4, 8):
        longest = [max(draw.choice(spread) for _ in range(count)) for _ in range(20_000)]
        assert lengths.longest_of(count) == pytest.approx(100 * sum(longest) / len(longest), rel=0.02)


def test_time_is_that_of_the_micro_batches() -> None:
    once = duration({**SETTINGS, "eval_steps": None}, BIG, 3200, 100, EVEN, 8, A100)
    twice = duration({**SETTINGS, "eval_steps": None, "num_epochs": 2}, BIG, 3200, 100, EVEN, 8, A100)
    assert (once.steps, once.micro_batches, once.tokens) == (100, 400, 3200 * 140)
    assert twice.seconds == pytest.approx(2 * once.seconds) and once.looking == 0
    looked = duration(SETTINGS, BIG, 3200, 100, EVEN, 8, A100)
    assert looked.seconds > once.seconds == looked.seconds - looked.looking
    short = duration({**SETTINGS, "max_steps": 10}, BIG, 3200, 100, EVEN, 8, A100)
    assert (short.steps, short.tokens) == (10, 320 * 140)
    split = duration({**SETTINGS, "deepspeed": ZERO[3]}, BIG, 3200, 100, EVEN, 8, A100)
    assert split.moving > once.moving
    on_cpu = duration(SETTINGS, SMALL, 340, 65, EVEN, 0, None)
    assert on_cpu.moving == 0 and on_cpu.steps == 85


# Of the rows by which a CPU's speed was found: over their mean, in order of length.
THEN = [
    0.46,
    0.51,
    0.56,
    0.59,
    0.62,
    0.65,
    0.67,
    0.70,
    0.73,
    0.76,
    0.80,
    0.84,
    0.89,
    0.95,
    1.04,
    1.18,
    1.34,
    1.55,
    2.05,
    3.10,
]


ROWS_THEN = {"sample_packing": False, "pad_to_sequence_len": False, "micro_batch_size": 4, "sequence_len": 512}


def test_a_cpu_without_avx512_is_counted_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    """7.3 s a step of cpu-fast on two cores of an EPYC with AVX2; bf16 takes 4.2 s on two of a Xeon with AMX."""
    model = Architecture.of(model_config("models/SmolLM2-135M-Instruct"))
    seconds, gib = {}, {}
    for fast in (True, False):
        monkeypatch.setattr(render, "bf16_on_cpu", lambda fast=fast: fast)
        run = resolve("v8", "cpu-fast", ROWS_THEN, task_names())
        found = duration(run.axolotl, model, 44, 39, Lengths(156, THEN), 0, None)
        seconds[fast], gib[fast] = found.computing / found.steps, sum(p.nbytes for p in cpu_parts(run.axolotl, model))
    assert seconds[False] == pytest.approx(7.3, abs=0.1) and seconds[True] == pytest.approx(4.2, abs=0.1)
    assert 1.1 * gib[True] < gib[False] < 1.5 * gib[True]


def test_packed_rows_take_fewer_and_fuller_micro_batches() -> None:
    plain, packed = (
        duration({**SETTINGS, "sample_packing": on}, BIG, 32_000, 2000, EVEN, 8, A100) for on in (False, True)
    )
    assert (plain.steps, plain.rows_a_step) == (1000, 32)
    # 21 rows of 140 tokens in a bin of 3,072, 32 bins a step: 1,523.8 bins, of which the last 19 fill no whole step.
    assert (packed.steps, packed.micro_batches) == (47, 188) and packed.rows_a_step == pytest.approx(32 * 21, rel=1e-3)
    assert packed.moving < plain.moving / 20 and packed.padded == pytest.approx(47 * 32 * 3072)


def test_held_out_rows_are_charged_as_they_are_looked_at() -> None:
    alone, packed = ({**SETTINGS, "sample_packing": True, "eval_sample_packing": on} for on in (False, True))
    plain = held_out_batches(SETTINGS, 2000, EVEN, 8)
    assert held_out_batches(alone, 2000, EVEN, 8) == plain
    assert (plain.micro_batches, plain.tokens) == (250, 140)
    look = held_out_batches(packed, 2000, EVEN, 8)
    assert (look.micro_batches, look.tokens) == (12, 3072) and look.rows == pytest.approx(21, rel=0.02)
    assert held_out_batches({**SETTINGS, "eval_batch_size": 4}, 2000, EVEN, 8).micro_batches == 63
    full = held_out_batches({**SETTINGS, "pad_to_sequence_len": True, "sequence_len": 1000}, 2000, EVEN, 8)
    assert full.tokens == 1024
    ours, longer = (
        duration({**alone, "eval_sample_packing": on}, BIG, 32_000, 2000, EVEN, 8, A100) for on in (True, False)
    )
    assert 0 < ours.looking < longer.looking


@given(st.lists(st.integers(1, 100), min_size=1, max_size=60), st.integers(1, 6))
@settings(max_examples=100, deadline=None)
def test_first_fit_loses_no_row_and_overfills_no_bin(sizes: list[int], most: int) -> None:
    bins: list[list[int]] = []
    for size in sizes:
        open_bins = (held for held in bins if sum(held) + size <= 100 and len(held) < most)
        next(open_bins, bins.append([]) or bins[-1]).append(size)  # type: ignore[func-returns-value]
    wanted = [held for held in bins if held]
    tokens, rows = first_fit(np.array(sizes, dtype=float), 100, most)
    assert sorted(zip(tokens, rows, strict=True)) == sorted((sum(held), len(held)) for held in wanted)


@given(st.floats(20, 400), st.integers(512, 8192), st.integers(1, 4), st.integers(0, 8))
@settings(max_examples=40, deadline=None)
def test_packing_drops_no_more_than_a_step_and_wastes_little(mean: float, length: int, micro: int, gpus: int) -> None:
    changed = {**SETTINGS, "sample_packing": True, "sequence_len": length, "micro_batch_size": micro}
    lengths = Lengths(mean, [0.5, 0.8, 1.0, 1.3, 1.4])
    count, batches = training_batches(changed, 30_000, lengths, gpus)
    seen = batches.micro_batches * batches.rows * max(1, gpus)
    a_step = batches.rows * 4 * max(1, gpus)
    assert count == 1 or 30_000 * 0.99 - a_step - batches.rows < seen <= 30_000 * 1.01
    assert batches.rows * mean <= batches.tokens * 1.02
    assert batches.rows == pytest.approx(micro * min(200, length / mean), rel=0.25)


def test_a_token_finds_itself_in_a_long_row() -> None:
    assert Lengths(100, [0.5, 1.5]).around_a_token == 125 and EVEN.around_a_token == 140
    drawn = Lengths(100, [0.4, 0.6, 0.8, 1.0, 2.2]).drawn(1000)
    assert drawn.mean() == pytest.approx(100) and 30 < drawn.min() < 50 and 200 < drawn.max() < 260


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


def test_lengths_are_the_datas_own_once_they_are_built() -> None:
    bars = {"edges": [0, 100, 200, 300], "rows": [10, 0, 10]}
    found = measured_lengths({"totals": {"tokens": 3000, "kept": 20}, "lengths": bars})
    assert found.mean == 150 and found.longest_of(1) == pytest.approx(150)
    assert found.longest_of(50) == pytest.approx(250)


def test_every_dataset_has_a_length_and_every_gpu_profile_a_gpu() -> None:
    listed = (CONFIGS / "known" / "lengths.yaml").read_text()
    assert all(f"  {name}: [" in listed for name in task_names())
    for name in names("profiles"):
        hardware = load_profile(name)[0].hardware
        assert hardware.gpus == 0 or gpu(hardware.card, name).flops > 1e13


def test_own_questions_count_as_rows_of_the_usual_length() -> None:
    portions = resolve("v8", "8xa100", {}, task_names()).portions
    own = replace(portions[0], name="ours", path="ours.jsonl", rows=10**9)
    smol, qwen = (expected_lengths([own], vocabulary).mean for vocabulary in (49_152, 152_064))
    assert 100 < qwen < smol < 200


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
