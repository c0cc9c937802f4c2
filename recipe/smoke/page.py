"""The page of a smoke: what worked, in what time, beside what the plan had said; what did not, and why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from recipe.smoke.machine import ENVIRONMENTS
from spine.atomic import write_text
from spine.paths import shown

PAGE, NUMBERS = "smoke.md", "smoke.json"
_UNITS = {"gib": "GiB of memory", "seconds_a_step": "seconds a step", "tokens_per_second": "tokens a second"}


@dataclass
class Result:
    """Of a step. ``message``: the failure, empty where it went well; ``log``: what its commands printed."""

    step: str
    seconds: float
    figure: str = ""
    message: str = ""
    log: str = ""
    commands: list[str] = field(default_factory=list)
    numbers: Mapping[str, Any] = field(default_factory=dict)
    planned: Mapping[str, Any] = field(default_factory=dict)

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
    write_text(folder / PAGE, "\n".join(_lines(facts, results, untried)) + "\n")


def _lines(facts: Mapping[str, str], results: Mapping[str, Result], untried: Sequence[str]) -> Iterator[str]:
    failed = [result for result in results.values() if not result.ok]
    well = "ok so far" if untried else "every step is ok"
    outcome = f"{len(failed)} of {len(results)} steps failed" if failed else well
    outcome += f"; not tried: {', '.join(untried)}" if untried else ""
    yield f"# Smoke of {facts['profile']}: {outcome}"
    yield ""
    yield "; ".join(f"{key} {value}" for key, value in facts.items() if key != "profile")
    yield ""
    rows = [(r.step, r.outcome, f"{r.seconds:.0f}", r.told) for r in results.values()]
    total = sum(result.seconds for result in results.values())
    yield from _table(("step", "result", "seconds", "figure"), [*rows, ("in all", "", f"{total:.0f}", "")])
    for result in failed:
        yield from ("", f"## {result.step} failed", "", *(f"    {line}" for line in result.message.splitlines()), "")
        yield f"All that it printed: `{result.log}`"
    real = results.get("real")
    if real and real.ok and real.planned:
        yield from ("", "## Beside the plan", "", "The real model, every row as long as `sequence_len`.", "")
        both = [(name, real.planned.get(key), real.numbers[key]) for key, name in _UNITS.items()]
        rows_ = [(name, f"{plan:,.1f}", f"{here:,.1f}") for name, plan, here in both if plan is not None]
        yield from _table(("", "planned", "here"), rows_)
    versions = results["machine"].numbers.get("versions", {}) if "machine" in results else {}
    if versions:
        yield from ("", "## Versions", "")
        named = [(name, *(found.get(one, "") for one in ENVIRONMENTS)) for name, found in versions.items()]
        yield from _table(("", *ENVIRONMENTS), named)
    yield from ("", "## Commands", "")
    yield from (f"    {command}" for result in results.values() for command in result.commands)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for cells in (head, ["---"] * len(head), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def summary(folder: Path) -> str:
    """Where the page is."""
    return f"{shown(folder / PAGE)}, {NUMBERS}"
