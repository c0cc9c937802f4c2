"""The measure of the links between GPUs, in processes of a CPU: torchrun, the sum, the line it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from spine.paths import ROOT

SEVERAL = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]


@pytest.mark.parametrize("launcher", [[], SEVERAL], ids=["one", "two"])
def test_it_prints_one_line_of_rates(launcher: list[str]) -> None:
    command = [sys.executable, *launcher, "-m", "recipe.smoke.bandwidth", "4"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("processes") == (2 if launcher else 1)
    assert found.keys() == ({"copy", "all_reduce"} if launcher else {"copy"}) and min(found.values()) > 0
