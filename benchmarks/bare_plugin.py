"""What axolotl alone needs to train in bf16 on a CPU, and no more: the peer of ``training.py``."""

from __future__ import annotations

from typing import Any

from axolotl.integrations.base import BasePlugin
from bitsandbytes.nn import Linear4bit


class BarePlugin(BasePlugin):  # type: ignore[misc]
    """transformers refuses bf16 without a GPU, unless it is told; bitsandbytes would pass no gradients on."""

    def get_training_args(self, cfg: Any) -> dict[str, Any]:
        return {"use_cpu": True}

    def post_model_load(self, cfg: Any, model: Any) -> None:
        for module in model.modules():
            if isinstance(module, Linear4bit):
                module.support_avx512bf16_for_cpu = False
