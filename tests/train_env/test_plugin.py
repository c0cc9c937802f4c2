"""The plugin inside axolotl: what goes wrong in training without it."""

from __future__ import annotations

import pytest


def gradient_after_a_look_at_held_out_rows(protect: bool) -> bool:
    """Whether a frozen 4-bit layer still passes a gradient on, once it has been evaluated on a CPU."""
    import torch
    from bitsandbytes.nn import Linear4bit

    from axolotl_configs.plugin import keep_trainable

    layer = Linear4bit(128, 64, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4").to("cpu")
    layer.weight.requires_grad_(False)
    model = torch.nn.Sequential(layer)
    if protect:
        keep_trainable(model)
    model.eval()
    with torch.no_grad():
        model(torch.ones(2, 128, dtype=torch.bfloat16))
    model.train()
    given = torch.ones(2, 128, dtype=torch.bfloat16, requires_grad=True)
    out = model(given)
    if out.requires_grad:
        out.sum().backward()
    return given.grad is not None and bool(given.grad.abs().sum() > 0)


def test_a_4_bit_layer_still_passes_gradients_after_an_evaluation() -> None:
    assert gradient_after_a_look_at_held_out_rows(protect=True)


def test_without_the_plugin_it_would_not() -> None:
    """When this fails, bitsandbytes has mended it: keep_trainable can go."""
    from bitsandbytes.functional import has_avx512bf16

    if not has_avx512bf16():
        pytest.skip("only CPUs with AVX512-BF16 repack")
    assert not gradient_after_a_look_at_held_out_rows(protect=False)
