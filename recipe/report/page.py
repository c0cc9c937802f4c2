"""``Facts`` as files: one page that needs nothing but itself, its pictures, its numbers, and a table for a README."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from recipe.report.facts import Facts
from recipe.report.look import FORMATS, embedded, took
from recipe.report.pictures import pictures, readable
from recipe.report.scores import interval
from recipe.walk.rows import ALL_AROUND, UNBOUND
from spine import manifest
from spine.atomic import write_text
from spine.given import TRACKS
from spine.look import house_style, save
from spine.progress import Meter
from spine.prompts import render

PAGE, NUMBERS, TABLE = "report.html", "report.json", "table.md"
SECTIONS = {
    "scores": "Scores by track", "gains": "What each step brought", "flow": "The flow, with times",
    "blend": "What came from where", "loss": "Loss", "wiseft": "The wise-ft weight", "quality": "What 4 bit costs",
    "examples": "Examples", "missing": "Not there yet", "settings": "Settings", "again": "Run it again",
}  # fmt: skip
_HERE = Path(__file__).parent
_TRACK_NAMES = {str(number): name.replace("-", " ") for name, number in {**TRACKS, "all around": ALL_AROUND}.items()}


class Versions(NamedTuple):
    """A picture for a screen and for a phone, as ``look.embedded`` gives them."""

    wide: str
    narrow: str


def write(facts: Facts, folder: Path) -> list[str]:
    """Writes everything into ``folder``, each file whole or not at all; returns their names."""
    (folder / manifest.NAME).unlink(missing_ok=True)  # of an earlier page, which is no more from here on
    svgs = _drawn(facts, folder)
    write_text(folder / PAGE, page(facts, svgs))
    write_text(folder / NUMBERS, json.dumps(facts.as_json(), indent=1, ensure_ascii=False) + "\n")
    write_text(folder / TABLE, table(facts))
    return [PAGE, NUMBERS, TABLE, *(f"{name}{ending}" for name in svgs for ending in FORMATS)]


def _drawn(facts: Facts, folder: Path) -> dict[str, Versions]:
    """Saves the pictures, as wide as a screen; gives them by name as parts of the page."""
    svgs: dict[str, Versions] = {}
    with house_style(), Meter("drawing", "picture") as meter, TemporaryDirectory() as scratch:
        for at, (name, draw) in enumerate(pictures().items()):
            meter.update(at, len(pictures()), name)
            for ending in FORMATS:
                (folder / f"{name}{ending}").unlink(missing_ok=True)  # an earlier page may have had more to show
            if wide := draw(facts, False):
                for ending in FORMATS:
                    save(wide, folder / f"{name}{ending}")
                narrow = Path(scratch) / f"{name}-narrow.svg"
                save(draw(facts, True) or wide, narrow)
                svgs[name] = Versions(
                    *(embedded(p.read_text(encoding="utf-8"), p.stem) for p in (folder / f"{name}.svg", narrow))
                )
        meter.update(len(pictures()), len(pictures()))
    return svgs


def page(facts: Facts, svgs: Mapping[str, Versions]) -> str:
    """The page. Whatever a model has answered is text in it: escaped, and no script but ours may run.

    Args:
        svgs: the pictures by name.
    """
    return _rendered("page.html.j2", facts, svgs=svgs, **_look("page.js"))


def runs_page(lines: Sequence[Any]) -> str:
    """Another page: a table of all runs, which its reader sorts. ``lines``: of ``recipe.trials.notebook``."""
    asked = {line.letter: line for line in lines if line.letter}
    told = {"lines": lines, "asked": dict(sorted(asked.items())), **_look("runs.js")}
    return render(_HERE, "runs.html.j2", told, score=_score)


def _look(script: str) -> dict[str, str]:
    """The style, and the one script that may run in a page: by its hash."""
    style, text = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", script))
    known = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return {"style": style, "script": text, "script_hash": known}


def table(facts: Facts) -> str:
    """The scores as a table for a README, in Markdown."""
    return _rendered("table.md.j2", facts)


def _rendered(name: str, facts: Facts, **more: Any) -> str:
    everything = str(ALL_AROUND)
    more |= {
        "facts": facts, "tracks": _tracks(facts), "track_names": _TRACK_NAMES, "constants": _constants(facts),
        "sections": {name: title for name, title in SECTIONS.items() if name != "missing" or facts.empty},
        "scored": [row for row in facts.rows if everything in row.cells and not row.name.endswith(UNBOUND)],
    }  # fmt: skip
    return render(
        _HERE, name, more, took=took, readable=readable, interval=interval, score=_score, mark=_mark, coded=_coded
    )


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


def _coded(text: str) -> Markup:
    """What stands between backticks as code; everything else as the text it is."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one of them has no partner
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(parts)
    )
