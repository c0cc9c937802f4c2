"""docs/training.md's table of machines says what they get, and what `recipe plan` says of it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from axolotl_configs.costs.planning import GIB, make_plan
from recipe.steps.plan import plan_request
from spine.paths import ROOT
from tests.axolotl_configs.test_select import chosen, machine

PAGE = ROOT / "docs" / "training.md"
MACHINES = (
    "8 x H100", "2 x H100", "1 x H100", "1 x H200", "8 x A100-80GB", "4 x A100-80GB", "1 x A100-80GB", "8 x A100-40GB",
    "1 x A100-40GB", "1 x L40S", "8 x A10G", "4 x L4", "1 x RTX-4090", "4 x T4", "1 x T4", "1 x RTX-3070",
)  # fmt: skip


def row(name: str) -> str:
    count, card = name.split(" x ")
    run = chosen(machine(int(count), card))
    request, _ = plan_request(run, gpu_name=card)
    plan = make_plan(request)
    model, hours = run.profile.base_model.partition("/")[2], plan.training.seconds / 3600
    return f"| {name} | `{run.run.profile}` | {model} | {request.rows:,} | {hours:.1f} | {plan.memory / GIB:.1f} |"


def test_the_table_of_machines_is_what_the_plan_says(runs_folder: Path) -> None:
    """With no data built: lengths are the sample shop's."""
    text = PAGE.read_text(encoding="utf-8")
    table = re.search(r"(?<=GiB of a GPU \|\n\|---\|---\|---\|---\|---\|---\|\n)[^\n].*?\n\n", text, re.S)
    assert table
    expected = "\n".join(map(row, MACHINES)) + "\n\n"
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(text.replace(table[0], expected), encoding="utf-8")
    else:
        assert table[0] == expected, "if that is as it should be: UPDATE_GOLDEN=1 make test-fast"
