"""How long a user waits for `recipe --help` and `recipe show v8`, in CPU time, beside importing axolotl's CLI."""

from __future__ import annotations

import os

from benchmarks.measure import Result, alternating
from spine.environments import python
from spine.paths import VENVS

HELP_SECONDS, SHOW_SECONDS = 0.25, 0.8


def run() -> list[Result]:
    """Medians of five runs each, in turn."""
    recipe = str(VENVS / "core" / "bin" / "recipe")
    os.environ["AXOLOTL_DO_NOT_TRACK"] = "1"
    costs = alternating(
        {
            "help": [recipe, "--help"],
            "show": [recipe, "show", "v8"],
            "peer": [str(python("train")), "-c", "import axolotl.cli.main"],
        },
        rounds=5,
    )
    peer = costs["peer"].cpu
    return [
        Result("recipe --help, CPU", costs["help"].cpu, "import axolotl.cli.main", peer, f"< {HELP_SECONDS} s",
               costs["help"].cpu < HELP_SECONDS),
        Result("recipe show v8, CPU", costs["show"].cpu, "import axolotl.cli.main", peer, f"< {SHOW_SECONDS} s",
               costs["show"].cpu < SHOW_SECONDS),
    ]  # fmt: skip
