"""How long a user waits for `recipe --help` and `recipe show v8`, in CPU time, beside importing axolotl's CLI."""

from __future__ import annotations

import os
from functools import partial

from benchmarks.measure import RECIPE, Result, cost, in_turn, middle, within
from spine.environments import python

HELP_SECONDS, SHOW_SECONDS = 0.25, 0.8
PEER = "import axolotl.cli.main"


def run() -> list[Result]:
    """Medians of five runs each, in turn."""
    os.environ["AXOLOTL_DO_NOT_TRACK"] = "1"
    measured = {f"recipe {words}": partial(cost, [RECIPE, *words.split()]) for words in ("--help", "show v8")}
    found = in_turn({**measured, PEER: partial(cost, [str(python("train")), "-c", PEER])}, rounds=5)
    seconds = {name: middle(costs).cpu for name, costs in found.items()}
    return [
        within(f"{name}, CPU", seconds[name], most, PEER, seconds[PEER])
        for name, most in zip(measured, (HELP_SECONDS, SHOW_SECONDS), strict=True)
    ]
