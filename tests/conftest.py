"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from axolotl_configs import render, schema
from recipe import runs
from recipe.paths import CONFIGS


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of axolotl_configs that a test may spoil, and that resolving then reads."""
    copy = tmp_path / "axolotl_configs"
    shutil.copytree(CONFIGS, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for module in (schema, render):
        monkeypatch.setattr(module, "CONFIGS", copy)
    return copy


@pytest.fixture
def runs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty runs folder."""
    monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")
    return tmp_path / "runs"


def edit(path: Path, old: str, new: str) -> int:
    """Replaces ``old`` by ``new`` in a file, once; returns the line (1-based) where it stood."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1
