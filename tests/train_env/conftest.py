"""Tests with torch and axolotl: run by ``.venvs/train``'s pytest, skipped in every other environment."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

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
