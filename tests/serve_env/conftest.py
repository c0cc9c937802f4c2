"""Tests with torch, vLLM and the metrics' libraries: run by ``.venvs/serve``'s pytest, skipped elsewhere."""

from __future__ import annotations

import importlib.util
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.answering.engines import cluster
from inference.answering.rules import Rules
from recipe.smoke import pico
from spine.chat import ChatTokenizer
from spine.mixture import Mixture
from spine.paths import ROOT

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # pico models gain nothing from more, and a busy machine loses much
os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
# Ray reads these when it is imported, and vLLM, which other tests load into this very process, imports it.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
HERE = Path(__file__).parent
EMBEDDED = ROOT / "models" / "SmolLM2-135M-Instruct"
HAVE_SERVE = all(importlib.util.find_spec(name) for name in ("torch", "sacrebleu", "sentence_transformers"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.serve_env)
            if not HAVE_SERVE:
                item.add_marker(pytest.mark.skip(reason="needs the serve environment: make test"))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not EMBEDDED.is_dir():
        pytest.skip("needs the embedded model: recipe model")
    folder = tmp_path_factory.mktemp("pico")
    pico.write(EMBEDDED, folder, heads=2)  # vLLM on a CPU has no attention for fewer than 32 features a head
    return folder


@pytest.fixture
def ray_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Ray of our own for a test, which leaves nothing."""
    from tests.serve_env.test_server import all_end, offspring

    monkeypatch.delenv(cluster.ADDRESS, raising=False)
    monkeypatch.setenv("RECIPE_RUNS", str(tmp_path))
    monkeypatch.setattr(cluster, "LOG", tmp_path / "ray.log")
    yield
    assert all_end(offspring(os.getpid()))


@pytest.fixture(scope="session")
def rules(model: Path) -> Rules:
    return Rules.of(str(model), ChatTokenizer.load(str(model)))


@pytest.fixture(scope="session")
def adapter(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Mixture:
    """A LoRA whose B is not zero, so that it changes answers."""
    return an_adapter(model, tmp_path_factory.mktemp("adapter"), seed=1)


def an_adapter(model: Path, folder: Path, *, seed: int, rank: int = 8) -> Mixture:
    """Trained by chance."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    made = get_peft_model(base, LoraConfig(r=rank, lora_alpha=16, target_modules="all-linear"))
    for name, weight in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.5)
    made.save_pretrained(folder)
    return Mixture.of(folder)
