"""A trial: blends that are trained alike, with the same seeds, and asked the same questions; as a graph of stages.

The runs are those that `recipe train` and `recipe eval` would make, in their usual folders: what another trial has
trained already is not trained again, and what is stale by its inputs or its code is done anew.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from axolotl_configs.render import Resolved, parse_set, resolve
from axolotl_configs.schema import Profile
from dataset_builders.task import load_task, task_names
from inference.answering.answer import PREDICTIONS
from inference.answering.questions import read_questions
from inference.scoring.compare import Comparison, compare_several, matched
from inference.scoring.predictions import Prediction, read_predictions
from recipe.steps.data import DataFrom
from recipe.steps.eval import How, evaluation_of, run_target
from recipe.steps.merge import default_alphas
from recipe.steps.questions import questions_folder, questions_step
from recipe.steps.result_names import adapter_name, results_folder
from recipe.trials.power import Asked
from recipe.walk import parts
from recipe.walk.graph import Stage
from spine import manifest
from spine.errors import RecipeError
from spine.manifest import Step, digest
from spine.paths import shown
from spine.runs import Run

_LONGEST = 60  # letters of a folder's name
# Settings in which any two runs differ.
_PLACES = {"datasets", "test_datasets", "dataset_prepared_path", "output_dir", "seed", "wandb_name", "mlflow_run_name"}


@dataclass(frozen=True)
class TrialRequest:
    """What was asked for.

    Attributes:
        blends: the first is what the others are laid beside.
        overrides: of SET, as typed.
        alpha: wise-ft weight of all; None: the first one's in tracks.yaml.
        questions: a file or folder, instead of held-out ones.
        called: what its folder is called; else after its blends.
    """

    blends: tuple[str, ...]
    profile: str
    overrides: str = ""
    seeds: int = 1
    alpha: float | None = None
    data: DataFrom = field(default_factory=DataFrom)
    questions: Path | None = None
    called: str = ""

    @property
    def folder(self) -> Path:
        """Where the trial keeps its record; with more seeds it is the same trial."""
        called = self.called or f"trial@{short('_'.join(self.blends))}"
        return Run.of(self.profile, called, parse_set(self.overrides)).folder


def short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[:40]}-{digest(name)[:8]}"


@dataclass(frozen=True)
class Arm:
    """One training. ``options``: its profile and settings, as they are typed."""

    resolved: Resolved
    options: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.resolved.run.name


class Trial:
    """The stages as things are now: made anew whenever they are asked for again."""

    def __init__(self, wanted: TrialRequest) -> None:
        """
        Raises:
            RecipeError: fewer than two blends, or one twice; a second round; what ``resolve`` refuses.
        """
        if len(set(wanted.blends)) < max(2, len(wanted.blends)):
            raise RecipeError("a trial is of two blends or more, each named once", where=" ".join(wanted.blends))
        self.wanted = wanted
        self._sets = parse_set(wanted.overrides)
        self.firsts = {name: resolve(name, wanted.profile, self._sets, task_names()) for name in wanted.blends}
        for name, resolved in self.firsts.items():
            if resolved.start:
                raise RecipeError(
                    f"{name} is a second round: it starts at {resolved.start.mixture}, not at the base",
                    where=resolved.blend.files[0].where("parent"),
                    way_out="a trial is of first rounds; recipe compare lays two evaluations side by side",
                )
        self.profile: Profile = self.firsts[wanted.blends[0]].profile
        self.alpha = default_alphas(wanted.blends[0])[0] if wanted.alpha is None else wanted.alpha
        self.arms = [list(self._arms(name)) for name in wanted.blends]
        self.blends: Mapping[str, Resolved] = {arm.name: arm.resolved for arms in self.arms for arm in arms}

    @cached_property
    def rows(self) -> int:
        """The budget: as many as the blend with the fewest has. Files of one's own come on top."""
        return min(sum(part.rows for part in one.portions if not part.exact) for one in self.firsts.values())

    def _arms(self, name: str) -> Iterator[Arm]:
        """Settings that change nothing are left out, so that a run that is there already is taken."""
        resolved, first = self.firsts[name], self.firsts[self.wanted.blends[0]]
        more = sum(part.rows for part in resolved.portions if not part.exact) > self.rows
        start = int(self._sets.get("seed", first.blend.seed))
        for seed in range(start, start + self.wanted.seeds):
            ours = ({"rows": self.rows} if more else {}) | ({"seed": seed} if seed != resolved.seed else {})
            kept = [item for item in shlex.split(self.wanted.overrides) if item.partition("=")[0] not in ours]
            text = shlex.join([*kept, *(f"{key}={value}" for key, value in ours.items())])
            options = ("-p", self.wanted.profile, *(("--set", text) if text else ()))
            yield Arm(resolve(name, self.wanted.profile, parse_set(text), task_names()), options)

    @cached_property
    def askers(self) -> list[Resolved]:
        """The blends that hold all datasets of the others: their held-out questions are asked."""
        kept: list[Resolved] = []
        for one in sorted(self.firsts.values(), key=lambda one: -len(one.portions)):
            names = {part.name for part in one.portions}
            if not names <= {part.name for other in kept for part in other.portions}:
                kept.append(one)
        return kept

    @property
    def _called(self) -> str:
        return short("_".join(one.blend.name for one in self.askers))

    @property
    def questions(self) -> Path:
        return self.wanted.questions or self.questions_folder / f"{self._called}-test.parquet"

    @property
    def questions_folder(self) -> Path:
        return questions_folder(self.askers[0], self._called)

    @cached_property
    def counts(self) -> parts.Counts:
        """Of questions, by track."""
        if self.wanted.questions:
            return parts.in_file(self.wanted.questions)
        return parts.held_out(self.questions_folder, "test", self.askers)

    def tasks(self) -> list[Asked]:
        """The tasks that are asked about, with the questions of each; as expected, until they are there."""
        if self.wanted.questions or manifest.read(self.questions_folder):
            found: dict[str, Asked] = {}
            for question in read_questions(self.questions):
                known = found.get(question.task, Asked(question.track, question.type.value, 0))
                found[question.task] = known.more()
            return list(found.values())
        of_each = self.profile.questions.test
        own = {part.name for one in self.askers for part in one.portions if part.path is None}
        tasks = [load_task(name) for name in sorted(own)]
        return [Asked(task.track, task.type.value, of_each) for task in tasks if task.track]

    def all(self) -> list[Stage]:
        """Each stage behind those that it needs."""
        ground = parts.ground(self.profile, self.wanted.data.folder)
        there = [stage.name for stage in ground]
        found = [*ground]
        if not self.wanted.questions:
            found.append(self._questions(there))
            there.append("questions")
        for arms in zip(*self.arms, strict=True):  # by seed, so that a first comparison is early there
            for arm in arms:
                found += self._stages(arm, there)
        return found

    def chains(self) -> list[list[Stage]]:
        """What may go on side by side once the ground and the questions are there: a list for each training."""
        return [self._stages(arm, []) for arms in zip(*self.arms, strict=True) for arm in arms]

    def _questions(self, needs: Sequence[str]) -> Stage:
        profile = ("-p", self.wanted.profile, *(("--set", self.wanted.overrides) if self.wanted.overrides else ()))
        names = [one.blend.name for one in self.askers]
        command = (
            "recipe",
            "questions",
            *names,
            "--name",
            self._called,
            *profile,
            *parts.data_options(self.wanted.data),
        )
        return Stage(
            "questions", command, (self.questions_folder,), tuple(needs),
            lambda: [questions_step(self.askers, self.wanted.data, self._called)],
        )  # fmt: skip

    def _stages(self, arm: Arm, needs: Sequence[str]) -> list[Stage]:
        name, count = arm.name, self.counts.total()
        data = parts.rows_of(name, arm.resolved, self.wanted.data, arm.options, needs)
        training = parts.training_of(name, arm.resolved, self.wanted.data, arm.options, (*needs, data.name))
        command = ("recipe", "eval", arm.resolved.blend.name, *arm.options, "--alpha", f"{self.alpha:g}",
                   "--questions", shown(self.questions))  # fmt: skip
        answering = Stage(
            f"eval {name}", command, (self.evaluation(arm),), (*needs, training.name),
            lambda: [self._answers(arm, count)], grows=True, about=name, work=count,
        )  # fmt: skip
        return [data, training, answering]

    def evaluation(self, arm: Arm) -> Path:
        """The folder of an arm's answers and scores."""
        mode = self.profile.answer.mode
        return results_folder(arm.resolved.run.folder, adapter_name(self.alpha), self.questions, mode=mode)

    def _answers(self, arm: Arm, count: int) -> Step:
        target = run_target(arm.resolved, self.alpha)
        return evaluation_of(target, self.questions, arm.resolved, How(), count=count, mergeable=True).step

    def predictions(self, arms: Sequence[Arm]) -> list[list[Prediction]]:
        return [read_predictions(self.evaluation(arm) / PREDICTIONS) for arm in arms]

    def compared(self) -> dict[str, Comparison]:
        """Every other blend beside the first, over all trainings; judged together. All stages are done."""
        first = self.predictions(self.arms[0])
        several = {
            name: [matched(a, b) for a, b in zip(first, self.predictions(arms), strict=True)]
            for name, arms in zip(self.wanted.blends[1:], self.arms[1:], strict=True)
        }
        return compare_several(several)

    def beware(self) -> list[str]:
        """What, beside the rows, tells the blends apart, or is missing."""
        first, *others = self.firsts.values()
        told = []
        for other in others:
            keys = sorted(
                key for key in first.axolotl.keys() | other.axolotl.keys() if key not in _PLACES
                and first.axolotl.get(key) != other.axolotl.get(key)
            )  # fmt: skip
            if keys:
                differ = ", ".join(f"{key} {first.axolotl.get(key)} and {other.axolotl.get(key)}" for key in keys)
                told.append(
                    f"{first.blend.name} and {other.blend.name} differ in settings too, not in data alone: {differ}"
                )
        rows = {arms[0].name: sum(part.rows for part in arms[0].resolved.portions) for arms in self.arms}
        if max(rows.values()) > 1.01 * min(rows.values()):
            told.append("files of your own come on top: " + ", ".join(f"{name} {n:,} rows" for name, n in rows.items()))
        if missing := sorted({1, 2, 3, 4} - {track for track, count in self.counts.items() if track and count}):
            told.append(f"no questions of track {', '.join(map(str, missing))}: nothing is said about it")
        if self.wanted.seeds < 2:
            told.append("one seed: intervals are over questions; that two trainings differ is not in them (--seeds 3)")
        return told
