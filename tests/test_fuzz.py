"""`make fuzz` finds what is wrong, passes what is not, and keeps to its time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from spine.paths import ROOT

PROPERTIES = """
from hypothesis import given, settings, strategies as st

@settings(max_examples=1)
@given(st.integers())
def test_of_small_numbers(number):
    assert number < 5_000

@given(st.integers())
def test_of_all(number):
    pass

def test_of_nothing():
    assert False
"""


def test_it_finds_what_one_input_does_not(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(PROPERTIES)
    command = [sys.executable, "-m", "pytest", "-p", "tests.fuzz", "-q", "-c", os.devnull, str(tmp_path)]
    environment = {**os.environ, "FUZZ_MINUTES": "0.1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "number=5000" in done.stdout and "1 failed, 1 passed" in done.stdout
