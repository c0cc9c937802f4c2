"""Each room opens with what it offers and an example from Python; the example is what happens."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from tests.test_floors import ROOMS


@pytest.mark.parametrize("room", ROOMS)
def test_the_example_at_the_door_is_true(room: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.mkdtemp", lambda: str(tmp_path))
    found = doctest.testmod(importlib.import_module(room))
    assert found.attempted >= 4 and not found.failed
