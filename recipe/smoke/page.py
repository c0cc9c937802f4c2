"""The page of a smoke: what worked, in what time, beside what the plan had said; what did not, and why."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from recipe.smoke.machine import ENVIRONMENTS
from spine.atomic import write_text
from spine.prompts import render

PAGE, NUMBERS = "smoke.md", "smoke.json"
_UNITS = {"gib": "GiB of memory", "seconds_a_step": "seconds a step", "tokens_per_second": "tokens a second"}


@dataclass
class Result:
    """Of a step: what it has found, what it typed, and how it ended.

    Attributes:
        figure: what it has found, for the table; ``numbers``: for smoke.json.
        planned: what the plan had said of these numbers.
        message: the failure, empty where it went well.
        log: what its commands printed.
        commands: as a user would type them.
    """

    step: str
    figure: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)
    planned: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    message: str = ""
    log: str = ""
    commands: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.message

    @property
    def outcome(self) -> str:
        return "ok" if self.ok else "failed"

    @property
    def told(self) -> str:
        """Its figure, or in a line why not: what failed, and the first of the lines that a program said of it."""
        if self.ok:
            return self.figure
        first, *others = self.message.splitlines()
        return " ".join([first, *(line[4:] for line in others[:1] if line.startswith("  | "))])


def read_results(folder: Path) -> dict[str, Result]:
    """Those of an earlier smoke."""
    try:
        found = json.loads((folder / NUMBERS).read_text(encoding="utf-8"))
        return {step: Result(**known) for step, known in found["steps"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write(folder: Path, facts: Mapping[str, str], results: Mapping[str, Result], untried: Sequence[str] = ()) -> None:
    """The page and its numbers; ``facts``: what it is about; ``untried``: the steps that have no result."""
    steps = {step: asdict(result) for step, result in results.items()}
    write_text(folder / NUMBERS, json.dumps({**facts, "steps": steps}, indent=1) + "\n")
    named = {"facts": facts, "results": results, "untried": untried, "units": _UNITS, "environments": ENVIRONMENTS}
    write_text(folder / PAGE, render(Path(__file__).parent, "page.md.j2", named))
