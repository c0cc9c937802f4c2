"""Measures an export against the model it was made from: ``python -m postprocess.awq.quality``.

Runs in the quantize environments. Three versions of the model go through the held-out texts layer by layer, side by
side: as it is, exported, and plainly rounded (RTN). No calibration text is among them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from postprocess.awq import gemm
from postprocess.awq.calibration import tokens
from postprocess.awq.layerwise import EMBEDDING, NORM, Layerwise, Tensors, Weights, head_of
from spine.child_job import OnProgress, serve

_SMALLEST_NORMAL = 2.0**-14  # of fp16: what is below has lost bits
# Read behind the norm in front of them, whose weights AWQ's scales may have gone into.
_BEHIND_NORM = {
    "self_attn.q_proj": "input_layernorm",
    "self_attn.k_proj": "input_layernorm",
    "self_attn.v_proj": "input_layernorm",
    "mlp.gate_proj": "post_attention_layernorm",
    "mlp.up_proj": "post_attention_layernorm",
}
Text = Sequence[int]
Hidden = list[torch.Tensor]


def measure(settings: Mapping[str, Any], progress: OnProgress) -> dict[str, Any]:
    """The report that ``gate`` judges; KL in nats per token, errors relative to the reference's norm."""
    torch.set_grad_enabled(False)
    original, export = Weights(Path(settings["model"])), Weights(Path(settings["export"]))
    texts = [text for text in tokens(settings["model"], settings["texts"]) if len(text) > 1]
    model = Layerwise(Path(settings["model"]), "cuda" if torch.cuda.is_available() else "cpu")
    embeddings = [stored.read(EMBEDDING) for stored in (original, export)]
    versions: list[Hidden] = [[model.embed(embeddings[at], text) for text in texts] for at in (0, 1, 0)]
    del embeddings
    layers, scales = [], {"all": 0, "subnormal": 0, "zero": 0}
    for index in range(model.layers):
        progress("measuring", index, model.layers + 1)
        prefix = f"model.layers.{index}."
        plain = {name: original.read(prefix + name).to(model.device).float() for name in original.names(prefix)}
        quantised, made = _dequantised(export, prefix, scales, model.device)
        rtn = {
            name: rounded(weight, settings["group"]) if name.removesuffix(".weight") in made else weight
            for name, weight in plain.items()
        }
        for at, weights in enumerate((plain, quantised, rtn)):
            _forward(model, index, weights, versions[at])
        layers.append(_compared(model, plain, quantised, rtn) | _output_errors(versions))
    progress("measuring", model.layers, model.layers + 1)
    outputs = _outputs(model, texts, original, export, versions)
    progress("measuring", model.layers + 1, model.layers + 1)
    return {"texts": len(texts), **outputs, "scales": scales, "layers": layers}


def _forward(model: Layerwise, index: int, weights: Tensors, hidden: Hidden) -> None:
    for at, text in enumerate(hidden):
        hidden[at] = model.layer(index, weights, text)


def _dequantised(
    export: Weights, prefix: str, scales: dict[str, int], device: torch.device
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """A layer's weights in fp32 under their original names, and the linear layers that are quantised."""
    weights: dict[str, torch.Tensor] = {}
    made = {name.removesuffix(".qweight"): name for name in export.names(prefix) if name.endswith(".qweight")}
    for name in export.names(prefix):
        layer, _, what = name.rpartition(".")
        if layer not in made or what == "bias":
            weights[name] = export.read(prefix + name).to(device).float()
    for layer in made:
        parts = {
            what: export.read(f"{prefix}{layer}.{what}")
            for what in ("qweight", "qzeros", "scales", "g_idx")
            if f"{prefix}{layer}.{what}" in export
        }
        _count(parts["scales"], scales)
        arrays = {what: (part.float() if what == "scales" else part).numpy() for what, part in parts.items()}
        decode = gemm.dequantise_gptq if "g_idx" in arrays else gemm.dequantise
        weights[f"{layer}.weight"] = torch.from_numpy(decode(**arrays)).to(device)
    return weights, made


def rounded(weight: torch.Tensor, group: int) -> torch.Tensor:
    """Plain rounding, which calibration must beat: the weight (out, in) in fp32, in groups of ``group`` input features.

    The same form as AWQ's: 4 bits, an integer zero point, an fp16 scale; neither scaling nor clipping.
    """
    out, features = weight.shape
    grouped = weight.float().reshape(out, features // group, group)
    # The range includes 0, so that the zero point lies within it.
    low = grouped.amin(-1, keepdim=True).clamp(max=0)
    high = grouped.amax(-1, keepdim=True).clamp(min=0)
    scale = ((high - low) / gemm.LEVELS).clamp(min=1e-5).half().float()
    zero = (-low / scale).round().clamp(0, gemm.LEVELS)
    levels = (grouped / scale).round().add_(zero).clamp_(0, gemm.LEVELS)
    return levels.sub_(zero).mul_(scale).reshape(out, features)


def _count(scales: torch.Tensor, counts: dict[str, int]) -> None:
    size = scales.abs().float()
    counts["all"] += size.numel()
    counts["zero"] += int((size == 0).sum())
    counts["subnormal"] += int(((size > 0) & (size < _SMALLEST_NORMAL)).sum())


def _compared(model: Layerwise, plain: Tensors, quantised: Tensors, rtn: Tensors) -> dict[str, Any]:
    """Norms of what AWQ's scales cancel out in, as ratios to the original's; errors of weights behind their norm."""
    norms, errors = {}, {"export": {}, "rtn": {}}  # type: ignore[var-annotated]
    for name, norm in _BEHIND_NORM.items():
        short = name.rpartition(".")[2].removesuffix("_proj")
        before = _behind(plain, name, norm)
        whole = before.norm().item()
        found = _behind(quantised, name, norm)
        if short in "qk":
            norms[f"norm x {short}"] = _finite(found.norm().item() / whole)
        if short != "up":  # the scales between up and down cancel out only in the product
            errors["export"][short] = _finite((found - before).norm().item() / whole)
            errors["rtn"][short] = _finite((_behind(rtn, name, norm) - before).norm().item() / whole)
        if short == "gate":
            norms["norm x gate"] = _finite(found.norm().item() / whole)
    for first, second in (("self_attn.v_proj", "self_attn.o_proj"), ("mlp.up_proj", "mlp.down_proj")):
        ratio = _product(model, quantised, first, second) / _product(model, plain, first, second)
        short = " x ".join(name.rpartition(".")[2].removesuffix("_proj") for name in (first, second))
        norms[f"norm x {short}"] = _finite(ratio)
    return {"norms": norms, "weight_errors": errors}


def _behind(weights: Tensors, name: str, norm: str) -> torch.Tensor:
    """(out, in): a layer's weight times the weight of the norm in front of it."""
    return weights[f"{name}.weight"] * weights[f"{norm}.weight"]


def _product(model: Layerwise, weights: Tensors, first: str, second: str) -> float:
    """The norm of two linear layers in a row, channel by channel, so that scales between them cancel out."""
    into = _behind(weights, first, _BEHIND_NORM[first]).norm(dim=1)
    out_of = weights[f"{second}.weight"].norm(dim=0)
    if len(into) != len(out_of):  # grouped-query attention: a value head feeds several heads
        head = len(out_of) // model.config.num_attention_heads
        into = into.reshape(-1, head).repeat_interleave(len(out_of) // len(into), dim=0).reshape(-1)
    return float((into * out_of).norm())


def _output_errors(versions: Sequence[Hidden]) -> dict[str, Any]:
    """||what the layer puts out - what it should|| / ||what it should||, over all texts."""
    plain, export, rtn = versions
    whole = _norm(plain)
    return {
        "output_errors": {
            name: _finite(_norm(a - b for a, b in zip(found, plain, strict=True)) / whole)
            for name, found in (("export", export), ("rtn", rtn))
        }
    }


def _norm(tensors: Iterable[torch.Tensor]) -> float:
    return math.sqrt(sum(tensor.double().pow(2).sum().item() for tensor in tensors))


def _outputs(
    model: Layerwise, texts: Sequence[Text], original: Weights, export: Weights, versions: Sequence[Hidden]
) -> dict[str, Any]:
    """KL, agreement and perplexity over every position that has a next token."""
    ends = []
    for stored in (original, export):
        head = head_of(stored, stored.read(EMBEDDING)).float().to(model.device)
        ends.append((stored.read(NORM).float().to(model.device), head))
    positions = sum(len(text) - 1 for text in texts)
    sums = {name: {"kl": 0.0, "same": 0.0, "loss": 0.0} for name in ("reference", "export", "rtn")}
    for at, text in enumerate(texts):
        right = torch.tensor(text[1:], device=model.device)[:, None]
        plain = model.log_probs(*ends[0], versions[0][at][:, :-1])
        for (name, found), (norm, head), version in zip(
            sums.items(), (ends[0], ends[1], ends[0]), versions, strict=True
        ):
            log_probs = plain if name == "reference" else model.log_probs(norm, head, version[at][:, :-1])
            found["kl"] += (plain.exp() * (plain - log_probs)).sum(-1).double().sum().item()
            found["same"] += (plain.argmax(-1) == log_probs.argmax(-1)).sum().item()
            found["loss"] -= log_probs.gather(1, right).double().sum().item()
    return {"tokens": positions} | {
        name: {
            "kl": _finite(found["kl"] / positions),
            "top1_agreement": _finite(found["same"] / positions),
            "perplexity": _finite(math.exp(min(found["loss"] / positions, 700.0))),
        }
        for name, found in sums.items()
    }


def _finite(value: float) -> float | None:
    """JSON knows no NaN."""
    return value if math.isfinite(value) else None


if __name__ == "__main__":
    serve(measure, at_once=True)
