"""Each room opens with what it offers and an example from Python; the example is what happens."""

from __future__ import annotations

import doctest
import importlib

import pytest

from tests.test_floors import ROOMS


@pytest.mark.parametrize("room", ROOMS)
def test_the_example_at_the_door_is_true(room: str) -> None:
    module = importlib.import_module(room)
    found = doctest.testmod(module)
    assert not found.failed and (found.attempted or ">>>" not in (module.__doc__ or ""))
