"""Tests with torch and axolotl: run by ``.venvs/train``'s pytest, skipped in every other environment."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("AXOLOTL_DO_NOT_TRACK", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
HERE = Path(__file__).parent
HAVE_AXOLOTL = importlib.util.find_spec("axolotl") is not None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.train_env)
            if not HAVE_AXOLOTL:
                item.add_marker(pytest.mark.skip(reason="needs the train environment: make test"))


@pytest.fixture(autouse=True)
def attention_as_it_was() -> Iterator[None]:
    """Loading a model for packed rows changes how every model of the process attends."""
    if not HAVE_AXOLOTL:
        yield
        return
    from axolotl.monkeypatch.attention.sdpa_varlen import unpatch_sdpa_varlen
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    kinds = (ALL_ATTENTION_FUNCTIONS, ALL_MASK_ATTENTION_FUNCTIONS)
    before = [functions["sdpa"] for functions in kinds]
    yield
    unpatch_sdpa_varlen()
    for functions, known in zip(kinds, before, strict=True):
        functions.register("sdpa", known)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("picos")


@pytest.fixture(scope="module")
def bases(place: Path) -> Any:
    """Bases by kind, untied unless asked for, each made once."""
    import torch

    from tests.train_env.picos import write_model

    @cache
    def of(kind: str, tied: bool = False, dtype: str = "float32") -> Path:
        return write_model(place / f"{kind}-{tied}-{dtype}", kind, getattr(torch, dtype), tie_word_embeddings=tied)

    return of


@pytest.fixture(scope="module")
def base(bases: Any) -> Path:
    found: Path = bases("llama")
    return found


@pytest.fixture(scope="module")
def adapter(base: Path, place: Path) -> Path:
    from tests.train_env.picos import write_adapter

    return write_adapter(base, place / "adapter")
