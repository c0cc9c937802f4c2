"""Tests with torch and gptqmodel (or AutoAWQ): run by the pytest of ``.venvs/quantize`` (or ``.venvs/autoawq``)."""

from __future__ import annotations

import importlib.util
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
HERE = Path(__file__).parent
CHATML = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
WORDS = [f"word{number}" for number in range(250)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.quantize_env)
            package, name = ("awq", "autoawq") if item.path.stem == "test_autoawq" else ("gptqmodel", "quantize")
            if importlib.util.find_spec(package) is None:
                item.add_marker(pytest.mark.skip(reason=f"needs the {name} environment: make env-{name} test"))


@pytest.fixture(autouse=True, scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """gptqmodel leaves ``logs/`` where it works."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    yield
    os.chdir(before)


def write_pico(folder: Path, kind: str, **sizes: Any) -> Path:
    """A real architecture with random weights, hidden size 128, and a tokenizer of 256 words.

    The norms' weights are spread widely, so that some input features matter far more than others, as in trained
    models: that is what AWQ's scales are for, and without it, it is no better than plain rounding.
    """
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    special = ["[UNK]", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "user", "assistant"]
    words = Tokenizer(WordLevel({word: at for at, word in enumerate([*special, *WORDS])}, unk_token="[UNK]"))
    words.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", eos_token="<|im_end|>", pad_token="<|endoftext|>",
        chat_template=CHATML,
    ).save_pretrained(folder)  # fmt: skip
    config, architecture = {"qwen2": (Qwen2Config, Qwen2ForCausalLM), "llama": (LlamaConfig, LlamaForCausalLM)}[kind]
    shape = {
        "vocab_size": 256, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
        "bos_token_id": 3, "eos_token_id": 2, "pad_token_id": 3, **sizes,
    }  # fmt: skip
    torch.manual_seed(0)
    model = architecture(config(**shape))
    for name, parameter in model.named_parameters():
        spread = torch.randn_like(parameter)
        if "norm" in name:
            parameter.data = torch.exp(spread)
        elif name.endswith("bias"):
            parameter.data = spread * 0.1
        else:
            parameter.data = spread * parameter.shape[-1] ** -0.5
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


def texts(number: int, seed: int) -> list[str]:
    """Conversations of random words, as the chat template renders them."""
    choose = random.Random(seed)

    def turn(role: str) -> str:
        said = " ".join(choose.choices(WORDS[: choose.randint(20, 250)], k=choose.randint(5, 40)))
        return f"<|im_start|> {role} {said} <|im_end|>"

    return [f"{turn('user')} {turn('assistant')}" for _ in range(number)]


@pytest.fixture(scope="session")
def calibration() -> list[str]:
    return texts(32, seed=1)


@pytest.fixture(scope="session")
def held_out() -> list[str]:
    return texts(20, seed=2)
