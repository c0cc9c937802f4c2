"""How fast the GPUs here copy memory, and share a sum: run by torchrun in the training environment, one process a GPU.

``python -m torch.distributed.run --standalone --nproc_per_node=8 -m recipe.smoke.bandwidth [MB]`` prints one line of
JSON in GB/s. The sum is as NVIDIA's nccl-tests count it ("busbw"): what each GPU sends, whatever their number. Without
a GPU the processes use gloo.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta

import torch
import torch.distributed as dist

_TIMES = 5
_PATIENCE = timedelta(seconds=60)  # for GPUs that do not answer each other; NCCL itself would wait for 10 minutes


def main(megabytes: int) -> None:
    """Measures, and prints from the first process."""
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(rank)
    ours = torch.ones(megabytes * 10**6 // 4, device="cuda" if cuda else "cpu")  # (megabytes / 4 M,) of fp32
    size = ours.numel() * ours.element_size()
    copy = torch.empty_like(ours)
    found = {"processes": world, "copy": round(2 * size / _seconds(lambda: copy.copy_(ours)) / 1e9, 2)}
    if world > 1:
        dist.init_process_group("nccl" if cuda else "gloo", timeout=_PATIENCE)
        seconds = _seconds(lambda: dist.all_reduce(ours, op=dist.ReduceOp.MAX))
        found["all_reduce"] = round(2 * (world - 1) / world * size / seconds / 1e9, 2)
        dist.destroy_process_group()
    if rank == 0:
        print(json.dumps(found), flush=True)


def _seconds(work: Callable[[], object]) -> float:
    """Of one time, once it is warm."""
    for number in range(_TIMES + 1):
        if number == 1:
            _wait()
            began = time.perf_counter()
        work()
    _wait()
    return (time.perf_counter() - began) / _TIMES


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 256)
