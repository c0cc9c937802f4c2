"""Quantises with AutoAWQ, the winners' tool: ``python -m postprocess.awq.backends.autoawq`` (see ``export``).

AutoAWQ 0.2.9 corrupts what it quantises on a CPU (``quantize/quantizer.py``, ``_compute_best_scale``): the copy of the
weights from which each trial starts anew, ``v.cpu()``, is none when they are on the CPU already, so trials are judged
on the scaled weights of those before them, and the first scale stays. Here the search gets a true copy; and whatever
the version and device, a search that leaves other weights behind than it found is an error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import awq
import torch
from awq import AutoAWQForCausalLM
from awq.quantize.quantizer import AwqQuantizer

from postprocess.awq.calibration import tokens
from postprocess.awq.gemm import BITS
from spine.child_job import OnProgress, serve
from spine.errors import RecipeError

PATCHED = "0.2.9"
# The search for clipping multiplies every weight with every token it looks at, without a matrix product.
_CLIP_TOKENS_ON_CPU = 64


def quantise(settings: Mapping[str, Any], progress: OnProgress) -> dict[str, Any]:
    """Writes the quantised model to ``settings["out"]``; returns what was used, converted, and by which version."""
    check_version(awq.__version__, on_cpu=not torch.cuda.is_available())
    texts = [text for text in tokens(settings["model"], settings["texts"]) if len(text) <= settings["max_tokens"]]
    folder, stored = _for_transformers_4(settings)
    # On a CPU bf16 takes half of fp32's time: 71 instead of 134 s for a layer of SmolLM2-135M on busy cores.
    dtype = torch.float16 if torch.cuda.is_available() else torch.bfloat16
    # Layers go to the GPU one by one, so that the model need not fit there.
    model = AutoAWQForCausalLM.from_pretrained(
        str(folder), torch_dtype=dtype, device_map="cpu", trust_remote_code=False
    )

    class Quantizer(Careful):
        on_layer = Counter(len(model.model.model.layers), progress)

    model.quantize(
        quant_config={"zero_point": True, "q_group_size": settings["group"], "w_bit": BITS, "version": "GEMM"},
        calib_data=texts,
        max_calib_samples=len(texts),
        # All texts in a row are cut into blocks of this length; a last block that is not full is dropped.
        max_calib_seq_len=min(settings["max_tokens"], sum(map(len, texts))),
        quantizer_cls=Quantizer,
    )
    model.model.half()  # what is not quantised; the scales are fp16 already
    model.save_quantized(settings["out"])
    converted = None if stored == "float16" else f"{stored} to float16"
    return {"used": len(texts), "dtype": "float16", "converted": converted, "version": awq.__version__}


def check_version(version: str, *, on_cpu: bool) -> None:
    """Refuses versions whose search was not read.

    Raises:
        RecipeError: on a CPU, another version than ``PATCHED``.
    """
    if on_cpu and version != PATCHED:
        raise RecipeError(
            f"AutoAWQ {version} on a CPU: only {PATCHED} is known to be repaired by our patch",
            way_out="make env-autoawq, or --backend gptqmodel",
        )


class Counter:
    """Counts layers as their search begins."""

    def __init__(self, total: int, progress: OnProgress) -> None:
        self.total, self.progress, self.begun = total, progress, 0

    def __call__(self) -> None:
        self.progress("quantising", self.begun, self.total)
        self.begun += 1


class Careful(AwqQuantizer):  # type: ignore[misc]
    """AutoAWQ's search, given true copies to restore the weights from, and watched."""

    on_layer: Any = None

    def _get_input_feat(self, layer: torch.nn.Module, named_linears: Any) -> Any:
        if self.on_layer:
            self.on_layer()
        return super()._get_input_feat(layer, named_linears)

    def _compute_best_scale(
        self, x: Any, w_mean: Any, x_mean: Any, module2inspect: Any, linears2scale: Any, *rest: Any, **named: Any
    ) -> Any:
        before = [linear.weight.detach().clone() for linear in linears2scale]
        with self.copied(module2inspect):
            found = super()._compute_best_scale(x, w_mean, x_mean, module2inspect, linears2scale, *rest, **named)
        for linear, weight in zip(linears2scale, before, strict=True):
            if not torch.equal(linear.weight, weight):
                raise RecipeError(
                    "AutoAWQ's search for scales left other weights behind than it found: the export would be corrupt",
                    way_out="--backend gptqmodel",
                )
        return found

    def _compute_best_clip(self, w: torch.Tensor, input_feat: torch.Tensor, **named: Any) -> torch.Tensor:
        if not w.is_cuda:
            named["n_sample_token"] = _CLIP_TOKENS_ON_CPU
        return super()._compute_best_clip(w, input_feat, **named)

    @contextmanager
    def copied(self, module: torch.nn.Module) -> Iterator[None]:
        """Within the block, ``module.state_dict()`` copies the weights."""
        plain = module.state_dict

        def state_dict() -> dict[str, torch.Tensor]:
            return {name: tensor.clone() for name, tensor in plain().items()}

        object.__setattr__(module, "state_dict", state_dict)
        try:
            yield
        finally:
            object.__delattr__(module, "state_dict")


def _for_transformers_4(settings: Mapping[str, Any]) -> tuple[Path, str]:
    """A folder with the same weights whose config.json an older transformers understands, and the weights' type.

    transformers 5 writes ``rope_parameters`` and ``dtype``. Version 4 would pass over them without a word and compute
    with positions of its own.
    """
    source = Path(settings["model"])
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    stored = str(config.pop("dtype", None) or config.get("torch_dtype") or "float32")
    config["torch_dtype"] = stored
    if rope := config.pop("rope_parameters", None):
        config["rope_theta"] = rope["rope_theta"]
        rest = {key: value for key, value in rope.items() if key != "rope_theta"}
        config["rope_scaling"] = None if rope.get("rope_type", "default") == "default" else rest
    folder = Path(os.environ["TMPDIR"]) / "model"
    folder.mkdir()
    for path in source.iterdir():
        if path.is_file() and path.name != "config.json":
            (folder / path.name).symlink_to(path.absolute())
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder, stored


if __name__ == "__main__":
    serve(quantise, at_once=True)
