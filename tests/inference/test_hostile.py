"""Texts that were made to take long: everything that reads a user's or a model's text is linear in it."""

from __future__ import annotations

import re
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from inference.answering import rules
from spine.paths import ROOT


def test_hostile_megabytes_take_seconds_of_cpu() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.inference.hostile"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]  # -9: its seconds of CPU were used up


@given(st.text("'\" ab\n", max_size=120))
def test_texts_in_quotes_are_those_of_the_pattern_that_says_it_plainly(text: str) -> None:
    plainly = re.compile(r"(?<!\w)(['\"])(.{20,5000}?)\1(?!\w)", re.DOTALL)
    assert list(rules._quoted(text)) == [found[2] for found in plainly.finditer(text)]
