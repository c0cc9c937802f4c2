"""Embeddings and heads that share their weights, and tokens that a training has added."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")


from spine.checkpoint import open_checkpoint, read_json  # noqa: E402
from spine.errors import RecipeError  # noqa: E402
from tests.train_env import picos  # noqa: E402
from tests.train_env.picos import (  # noqa: E402
    load,
    logits,
    merge,
    peft_model,
    tensors,
    write_adapter,
)

TIED_CASES: dict[str, tuple[dict[str, Any], bool]] = {
    "neither": ({}, True),
    "LoRA on the embedding": ({"target_modules": ["q_proj", "embed_tokens"]}, False),
    "LoRA on the head": ({"target_modules": ["q_proj", "lm_head"]}, False),
    "LoRA on both": ({"target_modules": ["q_proj", "embed_tokens", "lm_head"]}, False),
    "embedding in full": ({"modules_to_save": ["embed_tokens"]}, False),
    "head in full": ({"modules_to_save": ["lm_head"]}, False),
    "both in full": ({"modules_to_save": ["embed_tokens", "lm_head"]}, False),
    "LoRA on the embedding, head in full": (
        {"target_modules": ["q_proj", "embed_tokens"], "modules_to_save": ["lm_head"]},
        False,
    ),
    "LoRA on the head, embedding in full": (
        {"target_modules": ["q_proj", "lm_head"], "modules_to_save": ["embed_tokens"]},
        False,
    ),
}
# PEFT 0.20 cannot make this one: its head would have to be LoRA and a copy in one.
NO_PEFT_TYING = "LoRA on the head, embedding in full"
TYING = [(case, False) for case in TIED_CASES] + [(case, True) for case in TIED_CASES if case != NO_PEFT_TYING]


@pytest.mark.parametrize(("case", "ensure"), TYING)
@pytest.mark.parametrize("tokens", [0, 8])
def test_nothing_trained_in_tied_embeddings_is_dropped_or_doubled(
    case: str, ensure: bool, tokens: int, bases: Any, tmp_path: Path
) -> None:
    base = bases("llama", tied=True)
    settings, still_tied = TIED_CASES[case]
    adapter = write_adapter(base, tmp_path / "adapter", tokens=tokens, ensure_weight_tying=ensure, **settings)
    merged = merge(base, [adapter], [1.0], tmp_path / "merged")
    theirs = logits(peft_model(base, adapter, tokens=tokens))
    torch.testing.assert_close(logits(load(merged)), theirs, rtol=1e-5, atol=2e-5)
    config = read_json(merged / "config.json")
    assert config["vocab_size"] == picos.LLAMA["vocab_size"] + tokens
    # Without ensure_weight_tying PEFT saves a resized embedding twice: that it is one tensor is not to be seen then.
    assert config["tie_word_embeddings"] is (ensure or (still_tied and not tokens))
    assert ("lm_head.weight" in tensors(merged)) is not config["tie_word_embeddings"]


@pytest.mark.parametrize("settings", [{"target_modules": ["c_fc", "wte"]}, {"target_modules": ["c_fc", "lm_head"]}])
def test_a_head_shared_by_default_is_not_changed_with_the_embedding(
    settings: dict[str, Any], bases: Any, tmp_path: Path
) -> None:
    """Configs of the hub often do not say tie_word_embeddings, and then GPT-2 and others share all the same."""
    base = shutil.copytree(bases("gpt2", tied=True), tmp_path / "base")
    config = read_json(base / "config.json")
    assert config.pop("tie_word_embeddings") is True and "lm_head.weight" not in tensors(base)
    (base / "config.json").write_text(json.dumps(config))
    adapter = write_adapter(base, tmp_path / "adapter", **settings)
    merged = merge(base, [adapter], [1.0], tmp_path / "merged")
    torch.testing.assert_close(logits(load(merged)), logits(peft_model(base, adapter)), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(
    "settings", [{"modules_to_save": ["embed_tokens", "lm_head"]}, {"target_modules": ["embed_tokens", "lm_head"]}, {}]
)
def test_added_tokens(settings: dict[str, Any], bases: Any, tmp_path: Path) -> None:
    """An adapter in fp32 on a base in bf16, as training makes it: the new rows have the base's type."""
    base = bases("llama", dtype="bfloat16")
    adapter = write_adapter(base, tmp_path / "adapter", tokens=5, **settings)
    merged = merge(base, [adapter], [1.0], tmp_path / "merged")
    assert all(tensor.dtype == "BF16" for tensor in open_checkpoint(merged).tensors.values())
    theirs = peft_model(base, adapter, tokens=5).merge_and_unload().state_dict()
    for name, tensor in tensors(merged).items():
        torch.testing.assert_close(tensor, theirs[name].bfloat16(), rtol=2**-7, atol=0)
    with pytest.raises(RecipeError, match=r"(?s)another number of rows.*the weight 0.5 cannot weigh.*ALPHA=1"):
        merge(base, [adapter], [0.5], tmp_path / "half")


def test_added_tokens_of_which_the_adapter_holds_only_one_side(base: Path, tmp_path: Path) -> None:
    """PEFT saves no resized head when LoRA is on the embedding: the model cannot be made from such an adapter."""
    adapter = write_adapter(base, tmp_path / "adapter", tokens=8, target_modules=["embed_tokens"])
    with pytest.raises(RecipeError, match=r"rows of lm_head.weight 96, model.embed_tokens.weight 104"):
        merge(base, [adapter], [1.0], tmp_path / "merged")
