"""Quantises with gptqmodel: ``python -m postprocess.awq.backends.gptqmodel`` (see ``export``, ``spine.child_job``)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from postprocess.awq.calibration import tokens
from postprocess.awq.gemm import BITS
from spine.child_job import OnProgress, serve

# Read when gptqmodel is imported; more workers than cores make it slower.
os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
_BATCH = 4


def quantise(settings: Mapping[str, Any], progress: OnProgress) -> dict[str, Any]:
    """Writes the quantised model to ``settings["out"]``; returns what was used, converted, and by which version."""
    import gptqmodel
    import torch
    from gptqmodel import BACKEND, GPTQModel, QuantizeConfig
    from gptqmodel.quantization import FORMAT, METHOD
    from transformers import AutoConfig

    model_folder, awq = settings["model"], settings["format"] == "awq"
    cpu = not torch.cuda.is_available()
    stored = AutoConfig.from_pretrained(model_folder).dtype
    # Never fp32: `looper/awq_processor.py` keeps "copies" of the weights that are none when they are fp32 on a CPU
    # already, and restores what it has scaled, as AutoAWQ's same lines do (`backends/autoawq.py`).
    dtype = torch.float16 if stored == torch.float16 else torch.bfloat16
    kind = {"method": METHOD.AWQ, "format": FORMAT.GEMM, "sym": False} if awq else {}
    wanted = QuantizeConfig(bits=BITS, group_size=settings["group"], device="cpu" if cpu else "cuda", **kind)
    model = GPTQModel.load(model_folder, wanted, dtype=dtype)
    layers = model.model.config.num_hidden_layers
    model.layer_callback = _Layers(layers, progress)
    rows = [
        {"input_ids": torch.tensor([text]), "attention_mask": torch.ones((1, len(text)), dtype=torch.long)}
        for text in tokens(model_folder, settings["texts"])
        if len(text) <= settings["max_tokens"]
    ]
    progress("quantising", 0, layers)
    model.quantize(
        rows,
        batch_size=_BATCH,
        calibration_data_min_length=0,
        backend=BACKEND.AWQ_TORCH if cpu and awq else BACKEND.AUTO,
    )
    model.save(settings["out"])
    before, name = (str(kind).removeprefix("torch.") for kind in (stored, dtype))
    converted = f"{before} to {name}" if before != name else None
    return {"used": len(rows), "dtype": name, "converted": converted, "version": gptqmodel.__version__}


class _Layers:
    """gptqmodel calls ``layer_complete`` of whatever is set as the model's ``layer_callback``."""

    def __init__(self, total: int, progress: OnProgress) -> None:
        self.total, self.progress, self.done = total, progress, 0

    def layer_complete(self, *, layer_idx: int, submodule_finalized: bool) -> None:
        if layer_idx + 1 > self.done:
            self.done = layer_idx + 1
            self.progress("quantising", self.done, self.total)


if __name__ == "__main__":
    serve(quantise, at_once=True)
