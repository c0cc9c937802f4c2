"""AutoAWQ's packing: it loses nothing, and it is AutoAWQ's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from postprocess.awq.gemm import dequantise, dequantise_gptq, pack, unpack

INT32 = np.iinfo(np.int32)
packed = arrays.arrays(
    np.int32, st.tuples(st.integers(0, 5), st.integers(0, 4)), elements=st.integers(INT32.min, INT32.max)
)
values = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 5), st.sampled_from([8, 16, 40])), elements=st.integers(0, 15)
)


@given(packed)
def test_packing_what_was_unpacked_gives_it_back(given_bits: np.ndarray) -> None:
    again = pack(unpack(given_bits))
    assert again.dtype == np.int32 and (again == given_bits).all()


@given(values)
def test_unpacking_what_was_packed_gives_it_back(numbers: np.ndarray) -> None:
    assert (unpack(pack(numbers)) == numbers).all()


def test_the_order_is_that_of_autoawq() -> None:
    """By its own rule: bits 4i of a number hold column [0, 2, 4, 6, 1, 3, 5, 7][i]; so 7 lies at the top."""
    assert pack(np.arange(8, dtype=np.uint8)[None]).view(np.uint32)[0, 0] == 0x75316420
    assert pack(np.array([[1, 0, 0, 0, 0, 0, 0, 15]], np.uint8)).view(np.uint32)[0, 0] == 0xF0000001


@given(st.integers(1, 3), st.integers(1, 3), st.randoms(use_true_random=False))
def test_a_weight_is_level_less_zero_point_times_scale(groups: int, octets: int, draw) -> None:
    seed = np.random.default_rng(draw.randrange(2**32))
    group, out = 4, 8 * octets
    levels = seed.integers(0, 16, (groups * group, out), np.uint8)
    zeros = seed.integers(0, 16, (groups, out), np.uint8)
    scales = seed.random((groups, out), np.float32).astype(np.float16)
    found = dequantise(pack(levels), pack(zeros), scales)
    assert found.shape == (out, groups * group) and found.dtype == np.float32
    for feature in range(groups * group):
        for row in range(out):
            at = feature // group, row
            assert found[row, feature] == (int(levels[feature, row]) - int(zeros[at])) * np.float32(scales[at])


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="12 columns"):
        pack(np.zeros((1, 12), np.uint8))
    with pytest.raises(ValueError, match="16 does not fit"):
        pack(np.full((1, 8), 16, np.uint8))
    with pytest.raises(ValueError, match="do not fit together"):
        dequantise(np.zeros((8, 1), np.int32), np.zeros((3, 1), np.int32), np.zeros((3, 8), np.float16))


def test_gptq_counts_zero_points_from_one_and_packs_in_order() -> None:
    levels = np.array([[0x76543210], [0x0]], np.uint32).view(np.int32).reshape(2, 1).repeat(8, axis=1)  # in 16, out 8
    zeros = np.array([[0x77777777], [0x11111111]], np.uint32).view(np.int32).reshape(2, 1)
    scales = np.array([[0.5] * 8, [2.0] * 8], np.float16)
    found = dequantise_gptq(levels, zeros, scales, np.array([0] * 8 + [1] * 8, np.int32))
    assert found.shape == (8, 16)
    assert found[3].tolist() == [(level - 8) * 0.5 for level in range(8)] + [(0 - 2) * 2.0] * 8
