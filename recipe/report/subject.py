"""What a report is about: stages, and the evaluations that make the rows of its table."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from axolotl_configs.render import Resolved
from axolotl_configs.schema import load_tracks
from inference.answering.questions import question_files
from inference.scoring.scores import SCORES
from inference.scoring.tables import read_scores
from recipe.report.facts import DONE, NOT_RUN, OUTDATED, StepFact
from recipe.steps.result_names import SWEEP, adapter_name, results_name
from recipe.walk.graph import Stage, plan, seconds_of
from recipe.walk.request import WalkRequest
from recipe.walk.rows import ALL_AROUND, UNBOUND, Model, Row, weights_of
from recipe.walk.stages import Stages
from spine import manifest
from spine.manifest import file_digest
from spine.paths import shown

NAME = "report"
_EXPORTS = {"merge": ("merged-*", "padded-[0-9]*"), "awq": ("awq-[0-9]*", "padded-awq-*")}  # by step, its folders


@dataclass(frozen=True)
class Line:
    """A row of the table: by track, the folder of the evaluation that answers it, and what its model is called.

    ``beside``: the line that it is compared with, if not with the first.
    """

    name: str
    folders: Mapping[int, Path]
    models: Mapping[int, str]
    beside: str = ""


@dataclass(frozen=True)
class Subject:
    """What is reported on.

    Attributes:
        lines: the rows of the table.
        pairs: (a, b): names of lines whose difference is told by task type.
        chosen: of each track, the rounds' blends and wise-ft weights.
        questions: what all of them were asked: a file or folder.
        again, again_report: the commands that go on from what there is, and that make the page.
        data: where the rows come from, in words.
        asked: which of the questions, in words; "": all.
        remarks: what was asked otherwise, and is not among ``lines``.
        filled_by: of a section of the page, the command that gives it its content, if that is not ``again``.
    """

    title: str
    folder: Path
    profile: str
    blends: Mapping[str, Resolved]
    stages: Sequence[Stage]
    lines: Sequence[Line]
    pairs: Sequence[tuple[str, str]]
    chosen: Mapping[int, Sequence[tuple[str, float]]]
    questions: Path
    again: Sequence[str]
    again_report: Sequence[str]
    data: str
    asked: str = ""
    remarks: Sequence[str] = ()
    filled_by: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def outputs(self, kind: str) -> Iterator[tuple[Stage, Path]]:
        """The stages of a kind, with the first folder that each one leaves."""
        return ((stage, stage.outputs[0]) for stage in self.stages if stage.kind == kind)

    @cached_property
    def steps(self) -> list[StepFact]:
        """Every stage with its state and its time. What was not run puts nothing behind it out of date."""
        there = [stage for stage in self.stages if all(manifest.read(folder) for folder in stage.outputs)]
        reasons = {stage.name: reason for stage, reason in plan(there)}
        return [_step(stage, reasons.get(stage.name)) for stage in self.stages]


def _step(stage: Stage, reason: str | None) -> StepFact:
    """``reason``: why it would run again; None: it was not run."""
    state = NOT_RUN if reason is None else OUTDATED if reason else DONE
    known = [] if reason is None else [manifest.read(folder) or {} for folder in stage.outputs]
    return StepFact(
        stage.name, stage.kind, stage.about, shlex.join(stage.command), stage.needs, state, reason or "",
        seconds_of(known) if known else None,
    )  # fmt: skip


def of_recipe(wanted: WalkRequest) -> Subject:
    """All that ``recipe reproduce`` does.

    Raises:
        RecipeError: a mistake in tracks.yaml, a blend or the profile.
    """
    return of_stages(Stages(wanted))


def of_stages(stages: Stages) -> Subject:
    """Likewise, where the stages are known."""
    wanted = stages.wanted
    plain = [row.name for row in stages.rows if "swept" not in row.name and not row.unbound]
    unbound = [row.name for row in stages.rows if row.unbound]
    return Subject(
        title="the whole recipe",
        folder=wanted.report_folder,
        profile=wanted.profile,
        blends=_children_last(stages.blends),
        stages=stages.all(),
        lines=[_line(row, stages) for row in stages.rows],
        pairs=[*pairwise(plain), *pairwise(unbound)],
        chosen=weights_of(stages.tracks),
        questions=stages.test,
        again=("recipe", "reproduce", *stages.own_options),
        again_report=("recipe", NAME, *stages.own_options),
        data=str(wanted.data or "the invented sample shop"),
    )  # fmt: skip


def _line(row: Row, stages: Stages) -> Line:
    models = {track: model for track, model in row.models.items() if track in stages.there or track == ALL_AROUND}
    folders = {track: stages.evaluation(model) for track, model in models.items()}
    base = stages.profile.base_model.rpartition("/")[2]
    beside = f"base{UNBOUND}" if row.unbound else ""
    return Line(row.name, folders, {track: _called(model, base) for track, model in models.items()}, beside)


def _called(model: Model, base: str) -> str:
    return f"{model.blend}, {model.alpha:g}" if model.blend else base


def _children_last(blends: Mapping[str, Resolved]) -> dict[str, Resolved]:
    """Each blend right behind the one that it goes on from."""
    found: dict[str, Resolved] = {}

    def add(parent: str | None) -> None:
        for name, resolved in blends.items():
            if resolved.blend.goes_on_from == parent:
                found[name] = resolved
                add(name)

    add(None)
    return found


def of_run(resolved: Resolved, questions: Path | None, options: tuple[str, ...]) -> Subject:
    """The run of ``resolved``, with what it was asked of ``questions`` (None: its own held-out rows).

    Args:
        options: the run's, as they are typed behind its commands.
    """
    run, name = resolved.run, resolved.blend.name
    file = questions or run.data / "val.parquet"
    lines, asked, remarks = _lines(resolved, file)
    folder = f"{NAME}@{file.stem}" if questions else NAME
    file_option = () if file.parent == run.data else ("--questions", shown(file))

    def command(step: str, *more: str) -> tuple[str, ...]:
        return ("recipe", step, name, *options, *more)

    answered = command("eval", *file_option)
    return Subject(
        title=f"blend {name}",
        folder=run.folder / folder,
        profile=run.profile,
        blends={name: resolved},
        stages=list(_stages(resolved, file, options, [line.folders[ALL_AROUND] for line in lines])),
        lines=lines,
        pairs=[(lines[0].name, line.name) for line in lines[1:]],
        chosen=weights_of(load_tracks()),
        questions=file,
        again=("recipe", "train", name, *options),
        again_report=("recipe", NAME, name, *options),
        data="what `recipe data` was given",
        asked=asked,
        remarks=remarks,
        filled_by={
            "scores": answered, "examples": answered, "blend": command("data"), "loss": command("train"),
            "gains": command("eval", "--model", "base", *file_option) if lines else answered,
            "wiseft": command(SWEEP, *file_option), "quality": command("awq"),
        },
    )  # fmt: skip


def _lines(resolved: Resolved, questions: Path) -> tuple[list[Line], str, list[str]]:
    """The finished evaluations on exactly these questions: the base, then the weights, then what else was asked.

    Those of all questions; where there are none, of a part of them, told in words. Remarks: what is left out.
    """
    found: dict[str, list[tuple[tuple[int, float, str], Path]]] = {}
    files = question_files(questions) if questions.exists() else {}
    wanted = {name: file_digest(file) for file, name in files.items()}
    for path in sorted((resolved.run.folder / "eval").glob(f"*/{SCORES}")) if wanted else ():
        asked = _asked(path.parent)
        if asked.get("questions") == wanted:
            part = _part(*asked["selection"])
            found.setdefault(part, []).append((_order(asked, path.parent.name), path.parent))
    if not found:
        return [], "", []
    part = min(found, key=lambda one: (one != "", -len(found[one])))
    left_out = [
        f"not in the table, asked {other} only: {', '.join(folder.name for _, folder in sorted(folders))}"
        for other, folders in found.items()
        if other != part
    ]
    tracks = range(1, ALL_AROUND + 1)
    lines = []
    for _, folder in sorted(found[part]):
        label = read_scores(folder)["model"]
        lines.append(Line(label, dict.fromkeys(tracks, folder), dict.fromkeys(tracks, label)))
    few = [f"every model was asked {part} only: a hint, not a result; without LIMIT= it is one"] if part else []
    return lines, part, [*few, *left_out]


def _part(limit: int | None, tasks: Sequence[str], tracks: Sequence[int]) -> str:
    """Which of the questions were asked, in words; "": all."""
    told = [f"the first {limit} of each task"] if limit else []
    told += [f"task {', '.join(tasks)}"] if tasks else []
    return ", ".join([*told, *([f"track {', '.join(map(str, tracks))}"] if tracks else [])])


def _asked(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = (manifest.read(folder) or {}).get("inputs", {}).get("answers", {})
    return found


def _order(asked: dict[str, Any], name: str) -> tuple[int, float, str]:
    weight = _weight(name)
    if not asked.get("mixture") and (weight == "0" or name.startswith("base")):
        return 0, 0.0, name
    return (1, float(weight), name) if weight else (2, 0.0, name)


def _weight(name: str) -> str:
    """The wise-ft weight that a folder of results is called after, if it is of the run's adapter."""
    target, none = re.split("[@,]", name)[0], adapter_name(0).removesuffix("0")
    return target.removeprefix(none) if target.startswith(none) else ""


def _stages(resolved: Resolved, questions: Path, options: tuple[str, ...], answered: list[Path]) -> Iterator[Stage]:
    """Data and training, done or not; of the rest, what is there."""
    run, name = resolved.run, resolved.blend.name
    file = () if questions.parent == run.data else ("--questions", shown(questions))

    def stage(kind: str, folder: Path, *more: str, needs: tuple[str, ...]) -> Stage:
        title = f"{kind} {folder.name}" if kind in ("eval", *_EXPORTS) else f"{kind} {name}"
        return Stage(title, ("recipe", kind, name, *options, *more), (folder,), needs, about=name)

    yield stage("data", run.data, needs=())
    yield stage("train", run.train, needs=(f"data {name}",))
    sweep = run.folder / "eval" / results_name(SWEEP, questions, run.folder)
    if manifest.read(sweep):
        yield stage(SWEEP, sweep, *file, needs=(f"train {name}",))
    for kind, patterns in _EXPORTS.items():
        for folder in sorted(path for pattern in patterns for path in run.folder.glob(pattern)):
            if manifest.read(folder):
                yield stage(kind, folder, "--alpha", folder.name.rpartition("-")[2], needs=(f"train {name}",))
    for folder in answered:
        weight = _weight(folder.name)
        model = ("--alpha", weight) if weight else ("--model", folder.name.partition("@")[0])
        yield stage("eval", folder, *model, *file, needs=(f"train {name}",))
