"""The example in the room's door runs as it stands there."""

from __future__ import annotations

import doctest

import inference


def test_the_example_runs() -> None:
    found = doctest.testmod(inference)
    assert found.attempted >= 8 and found.failed == 0
