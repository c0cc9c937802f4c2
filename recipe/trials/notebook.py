"""The notebook: every training and every evaluation that lies in ``runs/``, one line each, read from its manifests.

Nothing is kept here. Scores are comparable where the same questions were asked in the same way: such evaluations have
the same letter.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from axolotl_configs.blend import resolve_blend
from dataset_builders.blend.stats import read_stats
from dataset_builders.task import task_names
from inference.scoring.scores import SCORES
from inference.scoring.tables import OVERALL, Part, parts, read_scores
from spine import manifest
from spine.errors import RecipeError
from spine.manifest import digest
from spine.paths import RUNS
from spine.yamlfile import read_yaml

SORTED_BY = ("date", "run", "rows", "steps", "loss", "hours", "1", "2", "3", "4", OVERALL)
_NAMED = 2  # datasets that are named of those that differ
_MOVED = 0.0005  # a share of the rows that is another, as in `recipe diff`
_BY_SET = re.compile(r"^(\w+): (.*?) *# <- SET$", re.M)


@dataclass(frozen=True)
class Line:
    """One evaluation, or a training that was not asked anything yet.

    Attributes:
        run: profile and name of its folder; ``model``: what of it was asked.
        beside: what differs from the blend that it includes, and what SET changed.
        rows: that were trained on; ``loss``: the last held-out one, nats per answer token.
        asked: of which questions and how, in words; ``letter``: the same for the same ones.
        scores: by track (``"1"``) and ``overall``, as ``scores.json`` has them.
        hours: of training; ``date``: when the last of it was finished.
    """

    run: str
    beside: str
    rows: int | None = None
    steps: int | None = None
    loss: float | None = None
    hours: float | None = None
    date: str = ""
    model: str = ""
    asked: str = ""
    letter: str = ""
    questions: int | None = None
    scores: Mapping[str, Part] = field(default_factory=dict)

    def flat(self) -> dict[str, Any]:
        """For a CSV: one level, a score with its interval in three columns."""
        told = {key: value for key, value in asdict(self).items() if key != "scores"}
        ends = {"": "score", "_low": "low", "_high": "high"}
        return told | {
            f"track_{name}{end}" if name != OVERALL else f"{name}{end}": self.scores.get(name, {}).get(key)
            for name in SORTED_BY[-5:]
            for end, key in ends.items()
        }


def read_runs(questions: str = "") -> list[Line]:
    """All lines, the earliest first.

    Args:
        questions: only evaluations on files whose names hold this.

    Raises:
        RecipeError: a ``scores.json`` is damaged.
    """
    found = [line for folder in sorted(RUNS.glob("*/*")) if folder.is_dir() for line in _lines(folder)]
    found += _evaluations(RUNS, Line("", ""))  # of models that no run has made
    ordered = sorted((line for line in found if questions in line.asked), key=lambda line: line.date)
    letters = dict(zip(dict.fromkeys(line.letter for line in ordered if line.letter), _letters(), strict=False))
    return [replace(line, letter=letters.get(line.letter, "")) for line in ordered]


def ordered_by(lines: Iterable[Line], key: str) -> list[Line]:
    """Best, largest or latest first, of a loss the smallest. Scores only within those that are comparable."""

    def rank(line: Line) -> tuple[Any, ...]:
        value = line.scores[key]["score"] if key in line.scores else getattr(line, key, None)
        if isinstance(value, str):
            return ("", False, 0)
        of_set = line.letter if key in (*"1234", OVERALL) else ""
        return of_set, value is None, (value or 0) if key == "loss" else -(value or 0)

    by_text = sorted(lines, key=lambda line: str(getattr(line, key, "")), reverse=key == "date")
    return sorted(by_text, key=rank)


def _lines(folder: Path) -> list[Line]:
    trained = manifest.read(folder / "train")
    line = Line(f"{folder.parent.name}/{folder.name}", _beside(folder), _rows(folder / "data"))
    if trained:
        hours, date = round(trained["wall_seconds"] / 3600, 3), trained["finished"]
        line = replace(line, steps=trained.get("steps"), loss=trained.get("final_loss"), hours=hours, date=date)
    return _evaluations(folder, line) or ([line] if trained else [])


def _rows(folder: Path) -> int | None:
    if not manifest.read(folder):
        return None
    totals = read_stats(folder / "stats.json")["totals"]
    return int(totals["kept"])


def _evaluations(folder: Path, of: Line) -> list[Line]:
    found = []
    for place in sorted(path.parent for path in folder.glob(f"eval/*/{SCORES}")):
        if known := manifest.read(place):
            scores, told = read_scores(place), known["inputs"].get("answers", {})
            # How it was asked, whatever model: other questions or rules make other scores.
            same = digest([sorted(told.get("questions", {}).values()), told.get("engine"), told.get("selection")])
            line = Line(of.run, of.beside) if place.name.startswith("base") else of
            model = place.name.partition("@")[0].partition(",")[0]
            found.append(
                replace(
                    line, model=model, asked=_asked(told), letter=same, questions=scores["facts"]["questions"],
                    scores=parts(scores), date=max(line.date, known["finished"]),
                )
            )  # fmt: skip
    return found


def _asked(told: Mapping[str, Any]) -> str:
    """``test.parquet, exact, vllm, limit 20``."""
    engine, dtype, mode, length = told.get("engine") or ["unknown", "auto", "unknown", ""]
    limit, tasks, tracks = told.get("selection") or [None, [], []]
    how = [mode, f"{engine} {dtype}", f"{length} tokens"] + [f"limit {limit}"] * bool(limit)
    how += [*tasks, *(f"track {number}" for number in tracks)]
    return ", ".join([*sorted(told.get("questions", {})), *map(str, how)])


def _letters() -> Iterator[str]:
    yield from string.ascii_lowercase
    yield from (one + other for one in string.ascii_lowercase for other in string.ascii_lowercase)


def _beside(folder: Path) -> str:
    blend, _, settings = folder.name.partition("+")
    if settings and "=" not in settings:  # too many for a name, which is their digest
        file = folder / "resolved.yaml"
        found = _BY_SET.findall(file.read_text(encoding="utf-8")) if file.is_file() else []
        settings = ",".join([*(f"{key}={value}" for key, value in found), f"SET {settings}"])
    return "; ".join(filter(None, (beside_parent(blend), settings.replace(",", " "))))


@cache
def beside_parent(blend: str) -> str:
    """What a blend changes of the one that it includes, as its files are now, in one line."""
    try:
        own = resolve_blend(blend, task_names())
        told = [f"from {own.parent.blend} at {own.parent.alpha:g}"] if own.parent else []
        if len(own.files) == 1:
            return "; ".join(told)
        of = resolve_blend(own.files[1].path.stem, task_names())
    except RecipeError:
        return "its blend is not there"
    before, now = ({part.name: part.rows / one.rows for part in one.portions} for one in (of, own))
    moved = {name: now[name] - before[name] for name in now.keys() & before.keys()}
    largest = sorted((name for name in moved if abs(moved[name]) >= _MOVED), key=lambda name: (-abs(moved[name]), name))
    groups = {
        "+": [f"{name} {now[name]:.1%}" for name in now if name not in before],
        "−": [name for name in before if name not in now],
        "": [f"{name} {before[name]:.1%} → {now[name]:.1%}" for name in largest],
    }
    told += [sign + ", ".join(some[:_NAMED]) + _more(some) for sign, some in groups.items() if some]
    told += [f"{key}={value}" for key, value in read_yaml(own.files[0].path).data.get("axolotl", {}).items()]
    return f"{of.name}: " + "; ".join(told or ["the same shares"])


def _more(some: list[str]) -> str:
    return f" and {len(some) - _NAMED} more" if len(some) > _NAMED else ""
