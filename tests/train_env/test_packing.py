"""The plan's count of packed rows beside axolotl's own: its sampler, and the steps that it sets the training to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from axolotl_configs.costs.batches import Lengths, held_out_batches, training_batches

pytest.importorskip("axolotl")

SETTINGS: dict[str, Any] = {"sample_packing": True, "gradient_accumulation_steps": 2, "num_epochs": 1}
# Rows, tokens of a row, how unlike they are (sigma of a lognormal), length of a bin, bins in a micro batch, GPUs
CASES = [
    (6_000, 142, 0.5, 3072, 1, 8),
    (3_000, 142, 0.5, 3072, 2, 1),
    (1_500, 155, 0.6, 512, 4, 1),
    (1_000, 600, 0.4, 2048, 1, 2),
    (4_000, 20, 0.3, 8192, 1, 1),  # 200 rows in a bin are the most
]


def drawn(rows: int, mean: float, sigma: float, longest: int) -> Any:
    found = np.random.default_rng(7).lognormal(0, sigma, rows)
    return np.clip(np.rint(found * mean / found.mean()), 5, longest).astype(int)


def told(sizes: Any) -> Lengths:
    """What the plan knows of them: a mean, and twenty parts."""
    parts = [part.mean() / sizes.mean() for part in np.array_split(np.sort(sizes), 20)]
    return Lengths(float(sizes.mean()), parts)


def by_axolotl(sizes: Any, settings: dict[str, Any], gpus: int) -> int:
    """Steps that axolotl would train for."""
    from axolotl.utils.dict import DictDefault
    from axolotl.utils.trainer import calculate_total_num_steps
    from datasets import Dataset

    batch = settings["micro_batch_size"] * settings["gradient_accumulation_steps"] * gpus
    cfg = DictDefault({**settings, "batch_size": batch, "sample_packing_group_size": 100_000, "dataset_num_proc": 1,
                       "sample_packing_bin_size": 200, "attn_supports_packing": "flash" in str(settings)})  # fmt: skip
    rows = [[1] * size for size in sizes]
    dataset = Dataset.from_dict({"input_ids": rows, "labels": rows, "length": list(sizes)})
    return int(calculate_total_num_steps(cfg, dataset))


@pytest.mark.parametrize("attention", ["sdpa", "flash_attention_2"])
@pytest.mark.parametrize(("rows", "mean", "sigma", "length", "micro", "gpus"), CASES)
def test_steps_are_those_that_axolotl_counts(
    rows: int, mean: float, sigma: float, length: int, micro: int, gpus: int, attention: str
) -> None:
    settings = {**SETTINGS, "sequence_len": length, "micro_batch_size": micro, "attn_implementation": attention}
    sizes = drawn(rows, mean, sigma, length)
    planned, batches = training_batches(settings, rows, told(sizes), gpus)
    assert planned == pytest.approx(by_axolotl(sizes, settings, gpus), rel=0.03, abs=1)
    assert batches.micro_batches == 2 * planned


@pytest.mark.parametrize(("rows", "mean", "sigma", "length", "micro", "gpus"), CASES)
def test_bins_hold_the_rows_and_tokens_that_axolotls_do(
    rows: int, mean: float, sigma: float, length: int, micro: int, gpus: int
) -> None:
    from axolotl.utils.samplers import MultipackBatchSampler
    from torch.utils.data import RandomSampler, SequentialSampler

    settings = {**SETTINGS, "sequence_len": length, "micro_batch_size": micro, "pad_to_sequence_len": False}
    sizes = drawn(rows, mean, sigma, length)
    _, trained = training_batches(settings, rows, told(sizes), gpus)
    looked = held_out_batches(settings, rows, told(sizes), gpus)
    for order, batches in ((RandomSampler, trained), (SequentialSampler, looked)):
        sampler = MultipackBatchSampler(
            order(range(rows)), batch_size=micro, batch_max_len=length, lengths=sizes, bin_size=200, num_processes=1
        )
        found = list(sampler)
        held = [sum(len(packed) for packed in batch) for batch in found]
        filled = [micro * max(sizes[packed].sum() for packed in batch) for batch in found]
        assert batches.rows == pytest.approx(np.mean(held), rel=0.03)
        assert batches.tokens == pytest.approx(np.mean(filled), rel=0.03)
    assert looked.micro_batches == pytest.approx(len(found) / gpus, rel=0.03, abs=1)
