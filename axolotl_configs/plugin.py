"""Our axolotl plugin, named in ``recipe.yaml.j2``; runs inside axolotl, in the training environment.

It lets bf16 run on a CPU, keeps 4-bit layers trainable there, and writes ``events.jsonl`` beside the checkpoints
for whoever wants to watch.
"""

from __future__ import annotations

import json
import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from axolotl.integrations.base import BasePlugin
from bitsandbytes.nn import Linear4bit
from transformers import TrainerCallback

from axolotl_configs.events import EVENTS
from spine.template import pin_date

_PACKAGES = ("axolotl", "torch", "transformers", "peft", "bitsandbytes", "accelerate", "trl")


class RecipePlugin(BasePlugin):  # type: ignore[misc]
    """See the module."""

    def register(self, cfg: Any) -> None:
        pin_date()
        if _several_on_cpu() and not cfg["deepspeed"]:
            # axolotl asks accelerate for its state, twice, without saying that these are processes of a CPU: each would
            # take itself for the only one.
            os.environ["ACCELERATE_USE_CPU"] = "true"
            # Not "cpu:0", as accelerate would number it: torch loads no optimiser's state to such a device.
            os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
            PartialState(cpu=True)

    def get_training_args(self, cfg: Any) -> dict[str, Any]:
        # Without use_cpu transformers refuses bf16 where there is no GPU, although the CPU can do it.
        # DeepSpeed on a CPU (tests) needs it off: accelerate would drop DeepSpeed without a word.
        return {} if torch.cuda.is_available() or cfg.deepspeed else {"use_cpu": True}

    def load_datasets(self, cfg: Any, preprocess: bool = False) -> None:
        if _several_on_cpu():
            cfg.device_map = {"": "cpu"}  # axolotl gives each process the GPU of its number, there or not

    def post_model_load(self, cfg: Any, model: torch.nn.Module) -> None:
        keep_trainable(model)

    def add_callbacks_post_trainer(self, cfg: Any, trainer: Any) -> list[TrainerCallback]:
        return [_Events(Path(cfg.output_dir) / EVENTS)]


def _several_on_cpu() -> bool:
    return not torch.cuda.is_available() and int(os.environ.get("WORLD_SIZE", "1")) > 1


def keep_trainable(model: torch.nn.Module) -> None:
    """Forbids bitsandbytes to repack 4-bit layers for inference when they are first evaluated on a CPU.

    On CPUs with AVX512-BF16, bitsandbytes 0.50.2 repacks a layer's weight in the first forward of ``eval()`` and keeps
    it so (``nn/modules.py``, Linear4bit.forward); from then on the layer runs an inference kernel that passes no
    gradient to its input. After the first look at the held-out rows a training would go on without the gradients of
    the frozen base: it still runs, and learns far less.
    """
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


class _Events(TrainerCallback):  # type: ignore[misc]
    """One JSON line per event, written by the first process of the first node only."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _write(self, state: Any, kind: str, **facts: Any) -> None:
        if not state.is_world_process_zero:
            return
        event = {
            "kind": kind,
            "time": time.time(),
            "step": state.global_step,
            "steps": state.max_steps,
            **facts,
        }
        with self.path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(event) + "\n")

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._write(state, "begin", versions={name: version(name) for name in _PACKAGES})

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._write(state, "step")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        numbers = {key: value for key, value in (logs or {}).items() if isinstance(value, int | float)}
        self._write(state, "log", **numbers)

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._write(state, "evaluating")

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # log_history survives a resume (it is kept in the checkpoints), so the last state holds the whole curve.
        if state.is_world_process_zero:
            (self.path.parent / "trainer_state.json").write_text(json.dumps({"log_history": state.log_history}))
        self._write(state, "end")
