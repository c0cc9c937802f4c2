"""The table of the slides, and how much of it is more than luck."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inference.answering.answer import PREDICTIONS
from inference.scoring.compare import Comparison, Difference, Verdict, compare, few_questions, matched
from inference.scoring.predictions import Prediction, read_predictions
from inference.scoring.scores import SCORES
from inference.scoring.tables import OVERALL, parts, read_scores, remarks
from recipe.report.facts import Cell, Gains, Row
from recipe.report.results import Reader
from recipe.report.subject import Line, Subject
from recipe.walk.rows import ALL_AROUND, UNBOUND
from spine.errors import RecipeError
from spine.progress import Meter
from spine.published import published_scores


@dataclass
class Evaluations:
    """Scores and answers of the subject's lines, each folder read once."""

    subject: Subject
    reader: Reader
    _answers: dict[Path, list[Prediction] | None] = field(default_factory=dict)
    _scores: dict[Path, dict[str, Any] | None] = field(default_factory=dict)
    _compared: dict[tuple[Path | None, Path | None], Comparison | None] = field(default_factory=dict)

    def answers(self, folder: Path | None) -> list[Prediction] | None:
        """An evaluation's predictions; None while there are none."""
        if folder and folder not in self._answers:
            self._answers[folder] = self.reader.read(folder, PREDICTIONS, read_predictions)
        return self._answers[folder] if folder else None

    def scores(self, folder: Path) -> dict[str, Any] | None:
        """An evaluation's ``scores.json``; None while there is none."""
        if folder not in self._scores:
            self._scores[folder] = self.reader.read(folder, SCORES, read_scores)
        return self._scores[folder]

    def overall(self, a: Line, b: Line) -> Comparison | None:
        """What the model of ``b`` for track 5 adds to that of ``a``: both are asked everything."""
        folders = a.folders.get(ALL_AROUND), b.folders.get(ALL_AROUND)
        if folders not in self._compared:
            self._compared[folders] = self._compare(a, b, *map(self.answers, folders))
        return self._compared[folders]

    def all_compared(self) -> list[Comparison]:
        """What ``overall`` has compared so far."""
        return [one for one in self._compared.values() if one]

    def by_track(self, a: Line, b: Line) -> Comparison | None:
        """What ``b`` adds to ``a`` on tracks 1 to 4, each of them answered by its own model."""
        if all(set(line.folders.values()) == {line.folders.get(ALL_AROUND)} for line in (a, b)):  # the same answers
            return self.overall(a, b)
        return self._compare(a, b, self._on_tracks(a), self._on_tracks(b))

    def _on_tracks(self, line: Line) -> list[Prediction]:
        return [
            one
            for track, folder in line.folders.items()
            if track != ALL_AROUND
            for one in self.answers(folder) or []
            if one.track == track
        ]

    def _compare(
        self, a: Line, b: Line, of_a: Sequence[Prediction] | None, of_b: Sequence[Prediction] | None
    ) -> Comparison | None:
        """On the questions that both have answered."""
        if not of_a or not of_b:
            return None
        try:
            return compare(matched(of_a, of_b, common=True))
        except RecipeError:
            note = f"{a.name} and {b.name} have answered no question in common: their difference is not told"
            self.reader.notes += [note] * (note not in self.reader.notes)
            return None


def table(found: Evaluations) -> tuple[list[Row], list[Gains]]:
    """The rows with their cells; what each step brought, by task type."""
    lines = {line.name: line for line in found.subject.lines}
    rows: list[Row] = []
    if not lines:
        return rows, []
    with Meter("comparing", "model") as meter:
        for at, line in enumerate(lines.values()):
            meter.update(at, len(lines), line.name)
            rows.append(_row(found, line, lines.get(line.beside, found.subject.lines[0])))
        gains = [_gains(found, lines[a], lines[b]) for a, b in found.subject.pairs]
        meter.update(len(lines), len(lines))
    return rows, [one for one in gains if one]


def _row(found: Evaluations, line: Line, first: Line) -> Row:
    """``first``: the line that it is compared with; itself has no difference."""
    beside: dict[str, Difference] = {}
    if line is not first:
        tracks, overall = found.by_track(first, line), found.overall(first, line)
        beside = {row.name.removeprefix("track "): row for row in tracks.tracks} if tracks else {}
        beside |= {str(ALL_AROUND): overall.overall} if overall and overall.overall else {}
    cells = {}
    for track, folder in sorted(line.folders.items()):
        name = str(track)
        scores = found.scores(folder)
        if scores and (part := parts(scores).get(OVERALL if track == ALL_AROUND else name)):
            cells[name] = Cell(
                line.models[track], part["questions"], part["score"], part["low"], part["high"], part["constant"],
                beside.get(name),
            )  # fmt: skip
    waiting = [str(track) for track in line.folders if str(track) not in cells]
    return Row(line.name, cells, waiting, published_scores().get(line.name, {}))


def _gains(found: Evaluations, a: Line, b: Line) -> Gains | None:
    everything = ALL_AROUND in a.folders and ALL_AROUND in b.folders
    compared = found.overall(a, b) if everything else found.by_track(a, b)
    if compared is None:
        return None
    model_a, model_b = (line.models.get(ALL_AROUND, "; ".join(dict.fromkeys(line.models.values()))) for line in (a, b))
    return Gains(a.name, b.name, model_a, model_b, compared.types, compared.overall)


def remarks_of(found: Evaluations) -> list[str]:
    """What the scores do not say; what goes for several models is told once."""
    folders = dict.fromkeys(folder for line in found.subject.lines for folder in line.folders.values())
    there = [scores for folder in folders if (scores := found.scores(folder))]
    of: dict[str, list[str]] = {}
    for scores in there:
        for remark in remarks(scores):
            of.setdefault(remark, []).append(scores["model"])
    names = {what: "every model" if len(told) == len(there) else " and ".join(told) for what, told in of.items()}
    few = [line for compared in found.all_compared() for line in few_questions(compared)]
    return [*dict.fromkeys(few), *(f"{named}: {what}" for what, named in names.items())]


def sentence(found: Gains) -> str:
    """What a step brought, in words."""
    a, b = (name.removesuffix(UNBOUND) for name in (found.a, found.b))
    a, b = ("the base" if name == "base" else name for name in (a, b))
    counted = {verdict: sum(row.verdict is verdict for row in found.types) for verdict in Verdict}
    better, worse, kinds = counted[Verdict.BETTER], counted[Verdict.WORSE], f"of {len(found.types)} task types"
    if better:
        told = f"{b} answers {better} {kinds} better than {a}" + (f" and {worse} worse" if worse else "")
    elif worse:
        told = f"{b} answers {worse} {kinds} worse than {a}"
    elif found.overall and found.overall.verdict is not Verdict.NONE:
        told = f"{b} answers {found.overall.verdict.value} than {a}, at no single task type beyond luck"
    else:
        told = f"the data show no difference between {a} and {b}"
    if found.overall:
        told += f"; overall {interval(found.overall)}"
        if found.overall.verdict is Verdict.NONE and not found.overall.low <= 0 <= found.overall.high:
            told += f", but p {found.overall.p:.2g}"  # a few questions make a narrow interval
    if found.b.endswith(UNBOUND):
        told = f"without decoding rules, {told}"
    return told[0].upper() + told[1:] if told.startswith(("the ", "round ", "without ")) else told


def interval(found: Difference) -> str:
    """``+0.23 [+0.19, +0.27]``."""
    return f"{found.difference:+.2f} [{found.low:+.2f}, {found.high:+.2f}]".replace("-", "−")
