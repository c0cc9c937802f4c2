"""``Facts`` as files: one page that needs nothing but itself, its pictures, its numbers, and a table for a README."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from recipe.report.facts import Facts
from recipe.report.look import FORMATS, embedded, house_style, save, took
from recipe.report.pictures import pictures, readable
from recipe.report.scores import interval
from recipe.walk.rows import ALL_AROUND
from spine import manifest
from spine.atomic import write_text
from spine.given import TRACKS
from spine.progress import Meter
from spine.prompts import render

PAGE, NUMBERS, TABLE = "report.html", "report.json", "table.md"
_HERE = Path(__file__).parent
_TRACK_NAMES = {str(number): name.replace("-", " ") for name, number in {**TRACKS, "all around": ALL_AROUND}.items()}


def write(facts: Facts, folder: Path) -> list[str]:
    """Writes everything into ``folder``, each file whole or not at all; returns their names."""
    (folder / manifest.NAME).unlink(missing_ok=True)  # of an earlier page, which is no more from here on
    drawn = _drawn(facts, folder)
    svgs = {name: embedded((folder / f"{name}.svg").read_text(encoding="utf-8"), name) for name in drawn}
    write_text(folder / PAGE, page(facts, svgs))
    write_text(folder / NUMBERS, json.dumps(facts.as_json(), indent=1, ensure_ascii=False) + "\n")
    write_text(folder / TABLE, table(facts))
    return [PAGE, NUMBERS, TABLE, *(f"{name}{ending}" for name in drawn for ending in FORMATS)]


def _drawn(facts: Facts, folder: Path) -> list[str]:
    """Saves the pictures; the names of those there are."""
    names: list[str] = []
    with house_style(), Meter("drawing", "picture") as meter:
        for at, (name, draw) in enumerate(pictures().items()):
            meter.update(at, len(pictures()), name)
            made = draw(facts)
            for ending in FORMATS:
                (folder / f"{name}{ending}").unlink(missing_ok=True)  # an earlier page may have had more to show
                if made:
                    save(made, folder / f"{name}{ending}")
            names += [name] if made else []
        meter.update(len(pictures()), len(pictures()))
    return names


def page(facts: Facts, svgs: dict[str, str]) -> str:
    """The page. Whatever a model has answered is text in it: escaped, and no script but ours may run.

    Args:
        svgs: the pictures by name, as ``look.embedded`` gives them.
    """
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    known = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _rendered("page.html.j2", facts, svgs=svgs, style=style, script=script, script_hash=known)


def table(facts: Facts) -> str:
    """The scores as a table for a README, in Markdown."""
    return _rendered("table.md.j2", facts)


def _rendered(name: str, facts: Facts, **more: Any) -> str:
    more |= {"facts": facts, "tracks": _tracks(facts), "track_names": _TRACK_NAMES, "constants": _constants(facts)}
    return render(_HERE, name, more, took=took, readable=readable, interval=interval, score=_score, mark=_mark)


def _tracks(facts: Facts) -> list[str]:
    """Those that any row has a score for; before there is one, all of them."""
    return sorted({track for row in facts.rows for track in row.cells}) or list("12345")


def _constants(facts: Facts) -> dict[str, float | None]:
    """What the constant answer scores, by track: of the first row that has been asked."""
    found: dict[str, float | None] = {}
    for row in facts.rows:
        for track, cell in row.cells.items():
            found.setdefault(track, cell.constant)
    return found


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}".removeprefix("0")


def _mark(value: float) -> str:
    """``0``, ``1``, ``.35``: short enough to stand side by side."""
    return {"0.00": "0", "1.00": "1"}.get(found := f"{value:.2f}", found.removeprefix("0"))
