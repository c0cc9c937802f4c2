"""``pushed.json`` in a run's folder: what went where, so that one card can link to another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from spine.atomic import write_text

NAME = "pushed.json"


@dataclass(frozen=True)
class Pushed:
    """``key``: of the step's manifest; another key is another model."""

    repo: str
    repo_type: str
    private: bool
    commit: str
    key: str


def read(run_folder: Path) -> dict[str, Pushed]:
    """By what was pushed; nothing where the file is missing or broken, for links are all that it is good for."""
    try:
        found: Mapping[str, Mapping[str, object]] = json.loads((run_folder / NAME).read_text(encoding="utf-8"))
        return {what: Pushed(**one) for what, one in found.items()}  # type: ignore[arg-type]
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def note(run_folder: Path, what: str, pushed: Pushed) -> None:
    """Adds to it; the caller holds the run's lock."""
    known = {**read(run_folder), what: pushed}
    write_text(run_folder / NAME, json.dumps({name: asdict(one) for name, one in known.items()}, indent=2) + "\n")
