"""What a parcel's model was measured to score: beside its base and the constant answer, on the same questions.

An evaluation belongs to a model whose files its manifest names by their hashes, whatever its folder is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axolotl_configs.render import Resolved
from inference.answering.answer import PREDICTIONS
from inference.scoring.compare import Difference, compare, few_questions, matched
from inference.scoring.predictions import read_predictions
from inference.scoring.scores import SCORES
from inference.scoring.tables import OVERALL, parts, read_scores, remarks
from recipe.hub.lineage import Lineage
from recipe.hub.parcel import Kind, Parcel
from recipe.report.results import Reader
from recipe.steps.merge import base_folder
from spine import manifest
from spine.errors import RecipeError
from spine.manifest import digest
from spine.stamp import stamp

_EVERYTHING: list[Any] = [None, [], []]
Answers = Mapping[str, Any]
_Belongs = Callable[[Answers], bool]


@dataclass(frozen=True)
class Line:
    """A model's row. ``parts``: of scores.json, by track or ``overall``; ``ours``: of the very files that are pushed.

    ``weight``: the wise-ft weight, of an adapter. ``beside``: the overall difference to the base.
    """

    name: str
    parts: Mapping[str, Mapping[str, Any]]
    ours: bool = False
    weight: float | None = None
    beside: Difference | None = None


@dataclass(frozen=True)
class Table:
    """The scores on one set of questions, answered in one mode. ``constant``: of the constant answer, by column."""

    questions: str
    count: int
    columns: Sequence[str]
    lines: Sequence[Line]
    constant: Mapping[str, float | None]
    remarks: Sequence[str]


@dataclass(frozen=True)
class _Evaluation:
    folder: Path
    answers: Answers
    scores: Mapping[str, Any]

    @property
    def file(self) -> str:
        """Evaluations with the same one answered questions of the same files in the same mode."""
        _, _, mode, _ = self.answers["engine"]
        return digest([self.answers["questions"], mode])

    @property
    def group(self) -> str:
        """Likewise, and the same of these questions."""
        return digest([self.file, self.answers["selection"]])

    @property
    def questions(self) -> str:
        name = self.folder.name.partition("@")[2].partition(",")[0]
        what = f"the questions of `{name}`" if name else "held-out rows of the blend"
        _, _, mode, _ = self.answers["engine"]
        return what + (f", in the mode `{mode}`" if mode != "exact" else "")

    @property
    def weight(self) -> float | None:
        """Of the newest adapter that was applied while answering."""
        return float(self.answers["mixture"][-1][1]) if self.answers["mixture"] else None

    @property
    def parts(self) -> dict[str, Mapping[str, Any]]:
        return parts(self.scores)


def tables(resolved: Resolved, parcel: Parcel, lineage: Lineage, base: str, reader: Reader) -> list[Table]:
    """One for each set of questions that this model was asked; the first has the most.

    Args:
        base: what the base is called.
        reader: is told of what cannot be read.
    """
    run = resolved.run.folder
    # `recipe reproduce` asks the base once, in the folder of one of the profile's runs.
    everything = list(_evaluations([run, *(path for path in run.parent.iterdir() if path != run)], reader))
    belongs = _belongs(resolved, parcel, lineage)
    ours = [one for one in everything if one.folder.parent.parent == run and belongs(one.answers)]
    # Of two evaluations of one model, that of the pushed files stands before that of its adapter at the same weight.
    ours.sort(key=lambda one: (one.weight or 0, one.folder.name))
    groups: dict[str, list[_Evaluation]] = {}
    for one in ours:
        groups.setdefault(one.group, []).append(one)
    others = list(_others(resolved, lineage, base))
    made = [_table(group, everything, others, adapter=parcel.kind is Kind.ADAPTER) for group in groups.values()]
    return sorted(made, key=lambda table: -table.count)


def _evaluations(runs: Sequence[Path], reader: Reader) -> Iterator[_Evaluation]:
    """All that are whole and were asked of everything in their file, or of all of some tracks."""
    for path in (path for run in runs for path in sorted((run / "eval").glob(f"*/{SCORES}"))):
        answers = (manifest.read(path.parent) or {}).get("inputs", {}).get("answers", {})
        limit, tasks, _ = answers.get("selection", [1, [], []])
        if limit is None and not tasks and "mixture" in answers and len(answers.get("engine", ())) == 4:
            scores = reader.read(path.parent, SCORES, read_scores)
            if scores and "contest" not in scores:
                yield _Evaluation(path.parent, answers, scores)


def _belongs(resolved: Resolved, parcel: Parcel, lineage: Lineage) -> _Belongs:
    """Tells whether an evaluation is of the parcel's model."""
    if parcel.kind is Kind.ADAPTER:
        adapter = stamp(parcel.folder)
        return lambda answers: [found for found, _ in answers["mixture"]][-1:] == [adapter]
    if lineage.awq:
        return _of_model(parcel.folder)
    return _of_merge(parcel.folder, lineage)


def _of_model(folder: Path) -> _Belongs:
    wanted = stamp(folder)
    return lambda answers: answers["model"] == wanted and not answers["mixture"]


def _of_merge(folder: Path, lineage: Lineage) -> _Belongs:
    """The merged model itself, or the same mixture of adapters: the same sums, rounded at another place."""
    itself = _of_model(folder)
    return lambda answers: itself(answers) or answers["mixture"] == lineage.mixture != []


def _others(resolved: Resolved, lineage: Lineage, base: str) -> Iterator[tuple[str, _Belongs]]:
    """Models beside which ours is shown."""
    if lineage.unquantised:
        yield "before quantising", _of_merge(lineage.unquantised, lineage)
    try:
        yield f"{base} (base)", _of_model(base_folder(resolved))
    except RecipeError:
        return  # the base is no longer on this disk: nobody can say which evaluations are its


def _table(
    group: Sequence[_Evaluation],
    everything: Sequence[_Evaluation],
    others: Sequence[tuple[str, _Belongs]],
    *,
    adapter: bool,
) -> Table:
    first = group[0]
    shown = {one.weight: one for one in reversed(group)} if adapter else {None: first}
    beside = [(name, found) for name, belongs in others if (found := _same_questions(first, everything, belongs))]
    base = beside[-1][1] if beside and beside[-1][0].endswith("(base)") else None
    lines, notes = [], [remark for one in shown.values() for remark in remarks(one.scores)]
    for weight, one in sorted(shown.items(), key=lambda item: item[0] or 0):
        difference, few = _beside(base, one)
        name = f"this adapter at weight {weight:g}" if weight is not None else "**this model**"
        name += ", with the one before" if len(one.answers["mixture"]) > 1 and adapter else ""
        lines.append(Line(name, one.parts, True, weight, difference))
        notes += few
    lines += [Line(name, _comparable(one, first)) for name, one in beside]
    columns = sorted({name for line in lines if line.ours for name in line.parts})
    constant = {name: part["constant"] for name, part in first.parts.items()}
    return Table(
        first.questions, first.scores["facts"]["questions"], columns, lines, constant, list(dict.fromkeys(notes))
    )


def _same_questions(first: _Evaluation, everything: Sequence[_Evaluation], belongs: _Belongs) -> _Evaluation | None:
    """Another model's answers to the questions of ``first``; if need be to these among more."""
    there = [one for one in everything if one.file == first.file and belongs(one.answers)]
    same = [one for one in there if one.group == first.group]
    return next(iter(same or [one for one in there if one.answers["selection"] == _EVERYTHING]), None)


def _comparable(one: _Evaluation, first: _Evaluation) -> dict[str, Mapping[str, Any]]:
    """Of a model that was asked about more tracks, the overall score is another mean."""
    return {name: part for name, part in one.parts.items() if one.group == first.group or name != OVERALL}


def _beside(base: _Evaluation | None, one: _Evaluation) -> tuple[Difference | None, list[str]]:
    """The overall difference to the base; what to keep in mind of it."""
    if base is None:
        return None, []
    try:
        sides = [read_predictions(evaluation.folder / PREDICTIONS) for evaluation in (base, one)]
        found = compare(matched(*sides, common=True))
    except RecipeError:
        return None, []  # predictions that are gone: the scores stand without them
    return found.overall, few_questions(found)
