"""torch in numpy's place: the same sums; here on torch's CPU device, the only one there is without a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

pytest.importorskip("torch")

from postprocess.merge.with_torch import Gpu
from spine.errors import RecipeError
from tests.postprocess.test_arithmetic import TOLERANCE, build, cases, whole


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases())
def test_torch_makes_the_sums_that_numpy_makes(case: dict[str, Any], tmp_path: Path) -> None:
    operation, parts = build(case, tmp_path / "tensors.safetensors")
    most = max(float(np.abs(part).max()) for part in parts) * (1 + sum(map(sum, case["weights"])))
    both = (whole(operation, case["weights"], 10**6, device) for device in (None, Gpu("cpu")))
    for ours, theirs in zip(*both, strict=True):
        assert theirs.dtype == ours.dtype
        difference = np.abs(theirs.astype(np.float64) - ours.astype(np.float64)).max()
        assert difference <= 2 * TOLERANCE[operation.dtype] * most + 1e-7


def test_a_machine_without_a_usable_gpu_is_told_so() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(RecipeError, match="no usable GPU"):
        Gpu()
