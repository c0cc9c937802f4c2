"""axolotl's own ``validate_config`` on a YAML's text, and DeepSpeed's on the file that it names; runs in the training
environment: ``python -m axolotl_configs.validate`` (see ``spine.child_job``) with ``yaml`` and ``processes``."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

from spine.child_job import Teller, serve
from spine.errors import RecipeError, did_you_mean


def refusals(settings: Mapping[str, Any], processes: int = 1) -> str:
    """What axolotl or DeepSpeed has against ``settings``, or an empty text. Nothing is loaded, no GPU is asked for.

    Args:
        processes: of the training, one a GPU.
    """
    from axolotl.utils.config import prepare_plugins, validate_config
    from axolotl.utils.dict import DictDefault

    config = DictDefault(dict(settings))
    prepare_plugins(config)
    try:
        validate_config(config)
        if settings.get("deepspeed"):
            fill_in_deepspeed(settings, processes)
    except (ValueError, AssertionError, OSError) as error:  # pydantic's ValidationError is a ValueError
        return str(error)
    return ""


def fill_in_deepspeed(settings: Mapping[str, Any], processes: int) -> Any:
    """DeepSpeed's own ``DeepSpeedConfig`` of the file that ``settings`` name.

    It is filled in as it happens later, when the model is loaded: transformers replaces each ``auto`` that it knows
    (``integrations/deepspeed.py``), accelerate those that are left (``Accelerator._prepare_deepspeed``), DeepSpeed
    checks what comes out.

    Raises:
        ValueError, AssertionError, OSError: one of them refuses the file; with its own words.
    """
    from accelerate.utils import DeepSpeedPlugin
    from deepspeed.runtime.config import DeepSpeedConfig
    from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig

    check_names(config := HfTrainerDeepSpeedConfig(settings["deepspeed"]))
    micro, accumulated = settings.get("micro_batch_size", 1), settings.get("gradient_accumulation_steps", 1)
    clip = settings.get("max_grad_norm") or 1.0
    asked = SimpleNamespace(
        world_size=processes, per_device_train_batch_size=micro, gradient_accumulation_steps=accumulated,
        max_grad_norm=clip, learning_rate=settings["learning_rate"], weight_decay=settings.get("weight_decay", 0.0),
        adam_beta1=0.9, adam_beta2=0.999, adam_epsilon=1e-8, save_on_each_node=False,
        bf16=bool(settings.get("bf16")), bf16_full_eval=False, fp16=bool(settings.get("fp16")), fp16_full_eval=False,
        get_warmup_steps=lambda steps: 0,
    )  # fmt: skip
    config.trainer_config_process(asked)
    any_model = SimpleNamespace(config=SimpleNamespace(hidden_size=8192))  # decides sizes of buckets only
    config.trainer_config_finalize(asked, any_model, 100)
    plugin = DeepSpeedPlugin(hf_ds_config=config)
    plugin.deepspeed_config_process(
        must_match=False, gradient_clipping=clip, gradient_accumulation_steps=accumulated,
        train_micro_batch_size_per_gpu=micro, train_batch_size=micro * accumulated * processes,
        **{"zero_optimization.stage3_gather_16bit_weights_on_model_save": False},
    )  # fmt: skip
    # Whether the rows of a step are right for so many processes, transformers has said; DeepSpeed sees only this one.
    return DeepSpeedConfig({**plugin.deepspeed_config, "train_batch_size": micro * accumulated})


def check_names(config: Any) -> None:
    """Refuses what DeepSpeed would drop without a word: it forbids unknown names in its sections, not at the top."""
    from deepspeed.runtime import config as deepspeed_config

    # Every name that it reads is a constant of its own, but this one.
    known = {"zero_optimization"} | {name for name in vars(deepspeed_config).values() if isinstance(name, str)}
    for name in config.config:
        if name not in known:
            nearest = did_you_mean(name, known) or "remove it"
            raise ValueError(f"unknown key '{name}': DeepSpeed would drop it; {nearest}")


def _work(asked: Mapping[str, Any], tell: Teller) -> str:
    import yaml

    settings = yaml.safe_load(asked["yaml"])
    deepspeed = settings.get("deepspeed")
    if found := refusals(settings, asked["processes"]):
        raise RecipeError(f"axolotl{' or DeepSpeed' * bool(deepspeed)} refuses these settings:\n{found}")
    by = f"axolotl {version('axolotl')}" + (f" and DeepSpeed {version('deepspeed')}" * bool(deepspeed))
    return f"{by} accept{'' if deepspeed else 's'} these settings"


if __name__ == "__main__":
    serve(_work)
