"""Tests that type the user's own commands: slow, and skipped where an environment is not installed."""

from __future__ import annotations

import pytest

from spine.paths import VENVS

RECIPE = VENVS / "core" / "bin" / "recipe"


def slow_and_needs(*names: str) -> list[pytest.MarkDecorator]:
    """The marks of a module that runs programs of these environments."""
    there = all(list((VENVS / name).glob(".installed-*")) for name in names)
    reason = f"needs the environments {', '.join(names)}: make test"
    return [pytest.mark.slow, pytest.mark.skipif(not there, reason=reason)]
