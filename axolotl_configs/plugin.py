"""Our axolotl plugin, named in ``recipe.yaml.j2``; runs inside axolotl, in the training environment.

It weighs answers as ``answers_weigh`` says, lets bf16 run on a CPU, makes it fast there, and writes ``events.jsonl``
beside the checkpoints for whoever wants to watch.
"""

from __future__ import annotations

import json
import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import PartialState
from axolotl.integrations.base import BasePlugin
from pydantic import BaseModel, Field
from transformers import TrainerCallback

from axolotl_configs import loss, on_cpu
from axolotl_configs.events import EVENTS
from spine.template import pin_date

_PACKAGES = ("axolotl", "torch", "transformers", "peft", "bitsandbytes", "accelerate", "trl")


# The logits of these never exist as a whole: they bring a loss of their own.
_OWN_LOSS = ("cut_cross_entropy", "liger_fused_linear_cross_entropy")


class RecipeArgs(BaseModel):
    """Keys of the YAML beside axolotl's.

    ``answers_weigh``: ``by_tokens``, axolotl's mean over the trained tokens of a micro batch; or ``equally``, the mean
    over a step's answers of each one's mean, whatever shares a micro batch with it.

    ``eval_questions``: so many held-out questions are answered and scored at each look (``inference.while_training``).
    """

    answers_weigh: Literal["by_tokens", "equally"] = "by_tokens"
    eval_questions: int = Field(default=0, ge=0)


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

    def get_input_args(self) -> str:
        return f"{__name__}.{RecipeArgs.__name__}"

    def post_model_load(self, cfg: Any, model: torch.nn.Module) -> None:
        equally = cfg.answers_weigh == "equally"
        if not any(cfg[name] for name in _OWN_LOSS):
            loss.ask_head_for_answers(model, equally=equally)
        if equally:
            model.get_base_model().loss_function = loss.mean_of_answers
        if not torch.cuda.is_available():
            on_cpu.prepare(model, packed=bool(cfg.sample_packing))

    def post_trainer_create(self, cfg: Any, trainer: Any) -> None:
        if cfg.answers_weigh == "equally":
            loss.count_answers(trainer)

    def add_callbacks_post_trainer(self, cfg: Any, trainer: Any) -> list[TrainerCallback]:
        return [_Events(Path(cfg.output_dir) / EVENTS)]


def _several_on_cpu() -> bool:
    return not torch.cuda.is_available() and int(os.environ.get("WORLD_SIZE", "1")) > 1


class _Events(TrainerCallback):  # type: ignore[misc]
    """One JSON line per event, written by the first process of the first node only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._passes = 0  # over the rows, that have ended

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
        self._passes = int(state.epoch or 0)  # of a resumed training
        self._write(state, "begin", versions={name: version(name) for name in _PACKAGES})

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._write(state, "step")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        numbers = {key: value for key, value in (logs or {}).items() if isinstance(value, int | float)}
        self._write(state, "log", **numbers)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # Axolotl counts bins before it deals the rows into them: there may be one or two fewer than it told the
        # Trainer, which then knows no last step, and neither looks at the held-out rows nor saves. A training that is
        # stopped by early_stopping_patience likewise.
        self._passes += 1
        over = control.should_training_stop or self._passes >= state.num_train_epochs
        if over and state.global_step < state.max_steps:
            state.max_steps = state.global_step
            control.should_evaluate = args.eval_strategy == "steps" and state.global_step % state.eval_steps != 0
            control.should_save = args.save_strategy == "steps" and state.global_step % state.save_steps != 0

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._write(state, "evaluating")

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # log_history survives a resume (it is kept in the checkpoints), so the last state holds the whole curve.
        if state.is_world_process_zero:
            (self.path.parent / "trainer_state.json").write_text(json.dumps({"log_history": state.log_history}))
        self._write(state, "end")
