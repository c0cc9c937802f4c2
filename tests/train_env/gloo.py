"""An axolotl plugin for the tests: DeepSpeed's processes on a machine without a GPU speak by gloo.

accelerate names no backend where it finds no accelerator, and drops DeepSpeed where it is told to use the CPU. With
the backend named, all else is what happens on GPUs: axolotl's set-up, accelerate's ``DeepSpeedPlugin``, DeepSpeed's
engine, ZeRO, its checkpoints.
"""

from __future__ import annotations

from typing import Any

from accelerate import PartialState
from accelerate.utils import DistributedType
from axolotl.integrations.base import BasePlugin
from transformers import training_args


class Gloo(BasePlugin):  # type: ignore[misc]
    """See the module."""

    def register(self, cfg: Any) -> None:
        if cfg["deepspeed"]:
            PartialState._prepare_backend = lambda *asked: ("gloo", DistributedType.NO)
            training_args.is_torch_bf16_gpu_available = lambda: True  # this CPU's bf16
