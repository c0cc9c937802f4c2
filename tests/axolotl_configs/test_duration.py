"""Hours of a training on paper: against published speeds, by their properties, and rows' lengths."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axolotl_configs import render
from axolotl_configs.costs.architecture import Architecture, model_config
from axolotl_configs.costs.batches import Lengths, first_fit, held_out_batches, training_batches
from axolotl_configs.costs.duration import COMPUTE_SHARE, duration, token_flops
from axolotl_configs.costs.known_figures import expected_lengths, gpu, measured_lengths
from axolotl_configs.costs.memory import cpu_parts
from axolotl_configs.render import resolve
from axolotl_configs.schema import load_profile, names
from dataset_builders.task import task_names
from spine.paths import CONFIGS
from tests.axolotl_configs.test_planning import A100, BIG, EVEN, FIRST_72B, SETTINGS, SMALL, ZERO


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
    0.46, 0.51, 0.56, 0.59, 0.62, 0.65, 0.67, 0.70, 0.73, 0.76, 0.80, 0.84, 0.89, 0.95, 1.04, 1.18, 1.34, 1.55, 2.05,
    3.10,
]  # fmt: skip
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
