"""What nvidia-smi says about a machine, as this repository reads it."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from spine import hardware
from spine.hardware import Device, this_machine

ROWS = """\
0, GPU-aa11, NVIDIA A100-SXM4-80GB, 81920, 580.65.06, 8.0
1, GPU-bb22, NVIDIA GB10, [N/A], 580.65.06, 12.1
"""


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An nvidia-smi that prints the file next to it, or refuses what an old driver does not know."""
    program = tmp_path / "nvidia-smi"
    program.write_text(
        f'#!/bin/sh\ncase "$1" in *compute_cap*) test ! -e {tmp_path}/old || exit 2;; esac\ncat {tmp_path}/rows\n'
    )
    program.chmod(0o755)
    (tmp_path / "rows").write_text(ROWS)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(hardware, "_newest_cuda", lambda: 13.0)
    return tmp_path


def test_each_gpu_with_memory_capability_and_driver(smi: Path) -> None:
    found = this_machine()
    assert found.gpus == (
        Device("NVIDIA A100-SXM4-80GB", 80.0, 8.0, "GPU-aa11"),
        Device("NVIDIA GB10", 0.0, 12.1, "GPU-bb22"),  # shares the CPU's memory
    )
    assert (found.driver, found.cuda) == ("580.65.06", 13.0)


@pytest.mark.parametrize(
    ("visible", "names"),
    [("0", ["GPU-aa11"]), ("1,0", ["GPU-aa11", "GPU-bb22"]), ("GPU-bb", ["GPU-bb22"]), ("", []), ("-1", [])],
)
def test_cuda_visible_devices(smi: Path, monkeypatch: pytest.MonkeyPatch, visible: str, names: list[str]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.uuid for gpu in this_machine().gpus] == names


def test_a_driver_too_old_to_know_compute_capability(smi: Path) -> None:
    (smi / "old").touch()
    (smi / "rows").write_text("0, GPU-aa11, Tesla K80, 11441, 450.80.02\n")
    found = this_machine()
    assert found.gpus == (Device("Tesla K80", 11441 / 1024, math.inf, "GPU-aa11"),) and found.driver == "450.80.02"


def test_a_driver_that_does_not_answer_is_no_gpu(smi: Path) -> None:
    (smi / "rows").write_text("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n")
    assert this_machine().gpus == ()


@pytest.mark.parametrize(
    ("line", "has_it"),
    [
        ("flags\t\t: fpu avx avx2 avx512f avx512dq avx512bw avx512vl", True),
        ("flags\t\t: fpu avx avx2 fma", False),
        ("Features\t: fp asimd bf16", True),  # ARM has another name for it: not asked
    ],
)
def test_bf16_is_for_cpus_that_multiply_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, has_it: bool
) -> None:
    monkeypatch.setattr(hardware, "_CPUINFO", tmp_path / "cpuinfo")
    assert hardware.bf16_on_cpu.__wrapped__()
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{line}\n\nprocessor\t: 1\n{line}\n")
    assert hardware.bf16_on_cpu.__wrapped__() is has_it
