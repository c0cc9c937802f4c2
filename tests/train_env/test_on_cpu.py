"""What makes a CPU fast leaves the numbers as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("axolotl")

from tests.train_env.picos import peft_model, write_adapter  # noqa: E402


def layer(*, bias: bool = False) -> Any:
    from bitsandbytes.nn import Linear4bit

    torch.manual_seed(0)
    made = Linear4bit(128, 64, bias=bias, compute_dtype=torch.bfloat16, quant_type="nf4").to("cpu")
    made.weight.requires_grad_(False)
    return made


def given() -> Any:
    torch.manual_seed(1)
    return torch.randn(3, 128, dtype=torch.bfloat16, requires_grad=True)


@pytest.mark.parametrize("bias", [False, True])
def test_an_unpacked_layer_computes_what_bitsandbytes_does(bias: bool) -> None:
    from axolotl_configs.on_cpu import unpack

    theirs, ours = layer(bias=bias), layer(bias=bias)
    unpack(ours)
    results = []
    for each in (theirs, ours):
        x = given()
        out = each(x)
        out.sum().backward()
        results.append((out.detach(), x.grad))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_lora_is_added_as_peft_adds_it(kind: str, bases: Any, place: Path) -> None:
    from axolotl_configs import on_cpu

    adapter = write_adapter(bases(kind), place / f"added-{kind}")
    tokens, found = torch.arange(24).view(2, 12) * 5 % 90, []
    for prepared in (False, True):
        model = peft_model(bases(kind), adapter)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("lora_" in name)
        if prepared:
            on_cpu.prepare(model, packed=False)
        loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        found.append((loss.item(), {name: p.grad for name, p in model.named_parameters() if p.requires_grad}))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    for name, gradient in found[0][1].items():
        torch.testing.assert_close(found[1][1][name], gradient, rtol=1e-4, atol=1e-6 * gradient.abs().max().item())


@pytest.mark.parametrize("change", [{"lora_dropout": 0.1}, {"use_dora": True}])
def test_what_is_not_plain_lora_is_left_to_peft(change: dict[str, Any], base: Path, place: Path) -> None:
    from axolotl_configs import on_cpu

    model = peft_model(base, write_adapter(base, place / f"left-{next(iter(change))}", **change))
    layer = model.get_base_model().model.layers[0].mlp.up_proj
    theirs = layer.forward
    on_cpu.prepare(model, packed=False)
    assert layer.forward == theirs


def gradient_after_a_look_at_held_out_rows(*, unpacked: bool) -> bool:
    """Whether a frozen 4-bit layer still passes a gradient on, once it has been evaluated."""
    from axolotl_configs.on_cpu import unpack

    model = layer()
    if unpacked:
        unpack(model)
    model.eval()
    with torch.no_grad():
        model(given().detach())
    model.train()
    x = given()
    out = model(x)
    if out.requires_grad:
        out.sum().backward()
    return x.grad is not None and bool(x.grad.abs().sum() > 0)


def test_a_4_bit_layer_still_passes_gradients_after_an_evaluation() -> None:
    assert gradient_after_a_look_at_held_out_rows(unpacked=True)


def test_without_unpacking_it_would_not() -> None:
    """When this fails, bitsandbytes has mended it: unpacking is then for speed alone."""
    from bitsandbytes.functional import has_avx512bf16

    if not has_avx512bf16():
        pytest.skip("only CPUs with AVX512-BF16 repack")
    assert not gradient_after_a_look_at_held_out_rows(unpacked=False)
