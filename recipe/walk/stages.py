"""The recipe's stages, from ``tracks.yaml``, its blends with their parents, the profile, and what the sweeps found.

Nothing about blends, weights or tracks stands here: another ``tracks.yaml`` is another graph. To add a kind of stage,
write a method of ``Stages`` that yields it, and name it in ``Stages.all``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from axolotl_configs.render import Resolved
from axolotl_configs.schema import load_tracks
from postprocess.merge.step import merge_steps
from recipe.steps.data import DataFrom
from recipe.steps.eval import How, evaluation_of, model_target, run_target, sweep_of
from recipe.steps.export import export_steps
from recipe.steps.merge import run_job, swept_alphas
from recipe.steps.questions import questions_step
from recipe.steps.result_names import BEST, SWEEP, adapter_name, model_name, results_folder
from recipe.walk import parts, rows
from recipe.walk.graph import Stage
from recipe.walk.parts import Counts, held_out, in_file
from recipe.walk.request import WalkRequest, blends_of, settings_of
from recipe.walk.rows import ALL_AROUND, Model, Row
from spine import manifest
from spine.errors import RecipeError
from spine.manifest import Step
from spine.mixture import BASE
from spine.paths import shown

_UNBOUND = "free"  # the mode of answers without decoding rules


class Stages:
    """The stages as things are now: made anew whenever they are asked for again."""

    def __init__(self, wanted: WalkRequest) -> None:
        """
        Raises:
            RecipeError: a mistake in tracks.yaml, a blend or the profile.
        """
        self.wanted, self.tracks = wanted, load_tracks()
        self.blends = blends_of(wanted, self.tracks)
        self.first = next(iter(self.blends.values()))
        self.profile = self.first.profile
        self.validation = wanted.questions_folder / "validation.parquet"
        self.test = wanted.questions or wanted.questions_folder / "test.parquet"
        if self.test.stem == self.validation.stem:  # results are named after the file
            raise RecipeError(
                "the wise-ft weights are chosen on questions of that name", where=shown(self.test),
                way_out="give the file another name",
            )  # fmt: skip
        self._from = DataFrom(wanted.data, wanted.evaluation)

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of the table that all this is for."""
        swept = {name: self._swept(name) for name in self.blends}
        wanted = self.profile.reproduce
        unbound = wanted.without_rules and self.profile.answer.mode != _UNBOUND
        parents = {name: resolved.blend.parent for name, resolved in self.blends.items() if resolved.blend.parent}
        return rows.rows(self.tracks, swept, wanted.exports, parents, unbound=unbound)

    @cached_property
    def asked(self) -> dict[Model, tuple[int, ...]]:
        """The models that answer questions, and of which tracks."""
        return rows.asked(self.rows, self.there)

    @cached_property
    def there(self) -> frozenset[int]:
        """The tracks that have questions to compare models on."""
        return frozenset(track for track, count in self._counts.items() if track and count)

    @cached_property
    def _counts(self) -> Counts:
        if self.wanted.questions:
            return in_file(self.test)
        return held_out(self.wanted.questions_folder, "test", self._every)

    def all(self) -> list[Stage]:
        """Each stage behind those that it needs."""
        return list(self._all())

    def _all(self) -> Iterator[Stage]:
        yield from self._ground
        yield self._questions()
        yield from map(self._data, self.blends.values())  # what a training will lack is known before the first one
        yield from (self._evaluation(model) for model in self.asked if not model.blend)
        for name, resolved in self.blends.items():
            yield self._training(resolved)
            yield self._sweep(resolved)
            yield from (self._evaluation(model) for model in self.asked if model.blend == name and not model.export)
        exported = rows.exported(self.tracks, self.profile.reproduce.exports)
        for name in dict.fromkeys(model.blend for model in exported):
            yield self._merge(self.blends[name], [model.alpha for model in exported if model.blend == name])
        for model in exported:
            yield self._export(model)
            if model in self.asked:
                yield self._evaluation(model)

    @property
    def _ground(self) -> list[Stage]:
        return parts.ground(self.profile, self.wanted.data)

    @property
    def _every(self) -> list[Resolved]:
        return list(self.blends.values())

    @property
    def _model(self) -> tuple[str, ...]:
        return tuple(stage.name for stage in self._ground if stage.name == "model")

    def _questions(self) -> Stage:
        command = (
            "recipe",
            "questions",
            *self.blends,
            *self._profile(self.wanted.overrides),
            *parts.data_options(self._from),
        )
        return Stage(
            "questions", command, (self.wanted.questions_folder,), tuple(stage.name for stage in self._ground),
            lambda: [questions_step(self._every, self._from)],
        )  # fmt: skip

    def _data(self, resolved: Resolved) -> Stage:
        needs = [stage.name for stage in self._ground]
        return parts.rows_of(resolved.blend.name, resolved, self._from, self._run(resolved), needs)

    def _training(self, resolved: Resolved) -> Stage:
        name, parent = resolved.blend.name, resolved.blend.goes_on_from
        needs = (*self._model, f"data {name}", *([f"train {parent}"] if parent else []))
        return parts.training_of(name, resolved, self._from, self._run(resolved), needs)

    def _sweep(self, resolved: Resolved) -> Stage:
        name, weights = resolved.blend.name, swept_alphas(resolved)
        command = ("recipe", "sweep", name, *self._run(resolved), "--questions", shown(self.validation))
        targets = [SWEEP, *map(adapter_name, weights)]
        outputs = tuple(self._results(resolved, target, self.validation) for target in targets)
        asked = held_out(self.wanted.questions_folder, "validation", self._every).total()

        def swept() -> list[Step]:
            evaluations, step = sweep_of(resolved, weights, self.validation, How(), count=asked * len(weights))
            return [*(evaluation.step for evaluation in evaluations.values()), step]

        return Stage(
            f"{SWEEP} {name}", command, outputs, ("questions", f"train {name}"), swept,
            grows=True, about=name, work=asked * len(weights),
        )  # fmt: skip

    def _merge(self, resolved: Resolved, weights: list[float]) -> Stage:
        """All of a blend's weights in one reading of the base."""
        name = resolved.blend.name
        command = ("recipe", "merge", name, *self._run(resolved), "--alpha", ",".join(f"{one:g}" for one in weights))
        outputs = tuple(resolved.run.mixed("merged", weight) for weight in weights)
        return Stage(
            f"merge {name}", command, outputs, (*self._model, f"train {name}"),
            lambda: merge_steps(run_job(resolved, weights, None)), about=name, work=len(weights),
        )  # fmt: skip

    def _export(self, model: Model) -> Stage:
        resolved = self.blends[model.blend]
        command = ("recipe", "awq", model.blend, *self._run(resolved), "--alpha", f"{model.alpha:g}")
        names = [f"awq-{model.alpha:g}", *([self.export_name(model)] if self.padded else [])]
        outputs = tuple(resolved.run.folder / name for name in names)
        needs = (f"merge {model.blend}", f"data {model.blend}")
        return Stage(
            f"awq {model.blend} {model.alpha:g}", command, outputs, needs,
            lambda: export_steps(resolved, model.alpha), about=model.blend,
        )  # fmt: skip

    @property
    def padded(self) -> bool:
        return self.profile.quantize.tensor_parallel > 1

    def export_name(self, model: Model) -> str:
        """The folder of a 4-bit model as it is served."""
        return f"awq-{'padded-' * self.padded}{model.alpha:g}"

    def evaluation(self, model: Model) -> Path:
        """The folder of a model's answers and scores."""
        target = self.export_name(model) if model.export else adapter_name(model.alpha) if model.blend else "base"
        return self._results(self._resolved_of(model), model_name(target), self.test, self.asked[model], model.unbound)

    def _resolved_of(self, model: Model) -> Resolved:
        """The base lies in the first blend's folder."""
        return self.blends[model.blend] if model.blend else self.first

    def _evaluation(self, model: Model) -> Stage:
        resolved = self._resolved_of(model)
        name = resolved.blend.name
        if not model.blend:
            what, title, needs = ("--model", "base"), "eval base", self._model
        elif model.export:
            folder = self.export_name(model)
            what, title, needs = ("--model", folder), f"eval {name} {folder}", (f"awq {name} {model.alpha:g}",)
        else:  # behind the sweep, which may ask the same weight for more tracks
            what, title = ("--alpha", f"{model.alpha:g}"), f"eval {name} {model.alpha:g}"
            needs = (f"train {name}", f"{SWEEP} {name}")
        mode = ("--mode", _UNBOUND) if model.unbound else ()
        title += f" {_UNBOUND}" * model.unbound
        tracks = [word for track in self.asked[model] for word in ("--track", str(track))]
        command = ("recipe", "eval", name, *self._run(resolved), *what, "--questions", shown(self.test), *mode, *tracks)
        needs = needs if self.wanted.questions else (*needs, "questions")
        count = _of(self._counts, self.asked[model])

        return Stage(
            title, command, (self.evaluation(model),), needs, lambda: [self._answers(model, count)],
            grows=True, about=name, work=count,
        )  # fmt: skip

    def _answers(self, model: Model, count: int) -> Step:
        resolved = self._resolved_of(model)
        if model.blend and not model.export:
            target = run_target(resolved, model.alpha)
        else:
            target = model_target(self.export_name(model) if model.export else "base", BASE, None, resolved)
        how = How(mode=_UNBOUND if model.unbound else None)
        asked = self.asked[model]
        return evaluation_of(target, self.test, resolved, how, count=count, tracks=asked, mergeable=True).step

    def _results(
        self, resolved: Resolved, target: str, questions: Path, tracks: tuple[int, ...] = (), unbound: bool = False
    ) -> Path:
        mode = _UNBOUND if unbound else self.profile.answer.mode
        return results_folder(resolved.run.folder, target, questions, mode=mode, tracks=tracks)

    def _swept(self, blend: str) -> dict[int, float]:
        """What the sweep found best, by track; nothing before it is done."""
        folder = self._results(self.blends[blend], SWEEP, self.validation)
        if manifest.read(folder) is None:
            return {}
        best = json.loads((folder / BEST).read_text(encoding="utf-8"))["best"]
        return {ALL_AROUND if row["track"] == "overall" else int(row["track"]): row["alpha"] for row in best}

    def _run(self, resolved: Resolved) -> tuple[str, ...]:
        return self._profile(settings_of(self.wanted.overrides, resolved.blend.parent))

    def _profile(self, overrides: str) -> tuple[str, ...]:
        return ("-p", self.wanted.profile, *(("--set", overrides) if overrides else ()))

    @property
    def own_options(self) -> tuple[str, ...]:
        """All that was asked for, as it is typed behind `recipe reproduce` or `recipe report`."""
        questions = ("--questions", str(self.wanted.questions)) if self.wanted.questions else ()
        return (*self._profile(self.wanted.overrides), *parts.data_options(self._from), *questions)


def _of(counts: Counts, tracks: Iterable[int]) -> int:
    """Of these tracks; of none: all there are."""
    chosen = list(tracks)
    return sum(counts[track] for track in chosen) if chosen else counts.total()
