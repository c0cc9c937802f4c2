"""The example in the room's docstring runs as it stands there."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import dataset_builders


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.mkdtemp", lambda: str(tmp_path))
    failed, tried = doctest.testmod(dataset_builders)
    assert tried > 10 and not failed
