"""The sum that nearly every tensor of a merge needs, in C: built once by the machine's compiler, numpy without one."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spine.manifest import file_digest
from spine.paths import VENVS

_SOURCE = Path(__file__).with_name("kernel.c")
# base and made: (rows, columns) of bf16; delta: the same of fp32; returns whether all results are finite.
AddScaled = Callable[[NDArray[Any], NDArray[np.float32], float, NDArray[Any]], bool]


@functools.cache
def add_scaled() -> AddScaled | None:
    """``made = base + delta * scale``; None where there is no C compiler, or it fails: numpy is only slower."""
    built = VENVS / "core" / f"kernel-{file_digest(_SOURCE)[:12]}.so"
    if not built.exists() and not _build(built):
        return None
    function = ctypes.CDLL(str(built)).add_scaled_bf16
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    function.argtypes = [pointer, size, pointer, size, ctypes.c_float, pointer, size, size, size]

    def call(base: NDArray[Any], delta: NDArray[np.float32], scale: float, made: NDArray[Any]) -> bool:
        steps = (part for array in (base, delta, made) for part in (array.ctypes.data, array.strides[0]))
        at, stride, change, change_stride, to, to_stride = steps
        found = function(at, stride // 2, change, change_stride // 4, scale, to, to_stride // 2, *made.shape)
        return bool(found)

    return call


def _build(built: Path) -> bool:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler or not built.parent.is_dir():
        return False
    # Threads of one process may build it at the same time, each a file of its own; the last one stays.
    made = built.with_name(f".{built.name}.{os.getpid()}.{threading.get_ident()}")
    command = [compiler, "-O3", "-ffp-contract=off", "-shared", "-fPIC", "-o", str(made), str(_SOURCE)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        made.unlink(missing_ok=True)
        return False
    made.rename(built)
    return True
