"""The recipe's stages, from ``tracks.yaml``, its blends with their parents, the profile, and what the sweeps found.

Nothing about blends, weights or tracks stands here: another ``tracks.yaml`` is another graph. To add a kind of stage,
write a method of ``Stages`` that yields it, and name it in ``Stages.all``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from axolotl_configs.costs.estimate import steps
from axolotl_configs.render import Resolved
from axolotl_configs.schema import load_tracks
from recipe.steps.result_names import BEST, SWEEP, adapter_name, model_name, results_folder
from recipe.walk import counts, inputs
from recipe.walk import rows as story
from recipe.walk.counts import Counts
from recipe.walk.graph import Stage
from recipe.walk.rows import ALL_AROUND, Model, Row
from recipe.walk.wanted import Wanted, blends_of, settings_of
from spine import manifest
from spine.errors import RecipeError
from spine.paths import EMBEDDED, ROOT, SAMPLE, shown

_UNBOUND = "free"  # the mode of answers without decoding rules


class Stages:
    """The stages as things are now: made anew whenever they are asked for again."""

    def __init__(self, wanted: Wanted) -> None:
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
        self._code = inputs.Code()
        self._rows = {
            name: inputs.of_rows(resolved, self._code, wanted.data, wanted.evaluation)
            for name, resolved in self.blends.items()
        }

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of the table that all this is for."""
        swept = {name: self._swept(name) for name in self.blends}
        wanted = self.profile.reproduce
        unbound = wanted.without_rules and self.profile.answer.mode != _UNBOUND
        return story.rows(self.tracks, swept, wanted.exports, unbound=unbound)

    @cached_property
    def asked(self) -> dict[Model, tuple[int, ...]]:
        """The models that answer questions, and of which tracks."""
        return story.asked(self.rows, self.there)

    @cached_property
    def there(self) -> frozenset[int]:
        """The tracks that have questions to compare models on."""
        return frozenset(track for track, count in self._counts.items() if track and count)

    @cached_property
    def _counts(self) -> Counts:
        if self.wanted.questions:
            return counts.in_file(self.test)
        return counts.held_out(self.wanted.questions_folder, "test", self.blends.values())

    def all(self) -> list[Stage]:
        """Each stage behind those that it needs; the report last."""
        stages = list(self._all())
        return [*stages, self._report([stage.name for stage in stages])]

    def _all(self) -> Iterator[Stage]:
        yield from self._ground()
        yield self._questions()
        yield from map(self._data, self.blends.values())  # what a training will lack is known before the first one
        yield from (self._evaluation(model) for model in self.asked if not model.blend)
        for name, resolved in self.blends.items():
            yield self._training(resolved)
            yield self._sweep(resolved)
            yield from (self._evaluation(model) for model in self.asked if model.blend == name and not model.export)
        exported = story.exported(self.tracks, self.profile.reproduce.exports)
        for name in dict.fromkeys(model.blend for model in exported):
            yield self._merge(self.blends[name], [model.alpha for model in exported if model.blend == name])
        for model in exported:
            yield self._export(model)
            if model in self.asked:
                yield self._evaluation(model)

    def _ground(self) -> Iterator[Stage]:
        """What there is before any blend: the base model and the raw files, where they are made here."""
        if self._model:
            yield Stage("model", ("recipe", "model"), (EMBEDDED,), inputs=inputs.of_model())
        if self._shop:
            yield Stage("sample-data", ("recipe", "sample-data"), (SAMPLE,), inputs=inputs.of_shop())

    @property
    def _model(self) -> tuple[str, ...]:
        embedded = self.profile.embedded and ROOT / self.profile.base_model == EMBEDDED
        return ("model",) if embedded else ()

    @property
    def _shop(self) -> tuple[str, ...]:
        return ("sample-data",) if self.wanted.data is None else ()

    def _questions(self) -> Stage:
        wanted = self.wanted
        found = inputs.of_questions(list(self.blends.values()), self._code, wanted.data, wanted.evaluation)
        command = ("recipe", "questions", *self.blends, *self._profile(self.wanted.overrides), *self._data_options())
        return Stage("questions", command, (self.wanted.questions_folder,), (*self._model, *self._shop), found)

    def _data(self, resolved: Resolved) -> Stage:
        name, needs = resolved.blend.name, (*self._model, *self._shop)
        command = ("recipe", "data", name, *self._run(resolved), *self._data_options())
        return Stage(f"data {name}", command, (resolved.run.data,), needs, self._rows[name], about=name)

    def _training(self, resolved: Resolved) -> Stage:
        name, parent = resolved.blend.name, resolved.blend.parent
        command = ("recipe", "train", name, *self._run(resolved), *self._data_options())
        needs = (*self._model, f"data {name}", *([f"train {parent}"] if parent else []))
        rows, gpus = sum(part.rows for part in resolved.portions), self.profile.hardware.gpus
        return Stage(
            f"train {name}", command, (resolved.run.train,), needs, inputs.of_training(resolved),
            grows=True, about=name, work=steps(resolved.axolotl, gpus, rows),
        )  # fmt: skip

    def _sweep(self, resolved: Resolved) -> Stage:
        name, weights = resolved.blend.name, self.profile.reproduce.weights
        command = (
            "recipe", "sweep", name, *self._run(resolved), "--alphas", ",".join(f"{weight:g}" for weight in weights),
            "--questions", shown(self.validation),
        )  # fmt: skip
        targets = [SWEEP, *map(adapter_name, weights)]
        outputs = tuple(self._results(resolved, target, self.validation) for target in targets)
        found = inputs.of_answers(resolved, self._code, None)
        asked = counts.held_out(self.wanted.questions_folder, "validation", self.blends.values()).total()
        return Stage(
            f"{SWEEP} {name}", command, outputs, ("questions", f"train {name}"), found,
            grows=True, about=name, work=asked * len(weights),
        )  # fmt: skip

    def _merge(self, resolved: Resolved, weights: list[float]) -> Stage:
        """All of a blend's weights in one reading of the base."""
        name = resolved.blend.name
        command = ("recipe", "merge", name, *self._run(resolved), "--alpha", ",".join(f"{one:g}" for one in weights))
        outputs = tuple(resolved.run.merged(weight) for weight in weights)
        found = inputs.of_merge(resolved, self._code)
        needs = (*self._model, f"train {name}")
        return Stage(f"merge {name}", command, outputs, needs, found, about=name, work=len(weights))

    def _export(self, model: Model) -> Stage:
        resolved = self.blends[model.blend]
        command = ("recipe", "awq", model.blend, *self._run(resolved), "--alpha", f"{model.alpha:g}")
        names = [f"awq-{model.alpha:g}", *([self.export_name(model)] if self.padded else [])]
        outputs = tuple(resolved.run.folder / name for name in names)
        needs = (f"merge {model.blend}", f"data {model.blend}")
        found = inputs.of_export(resolved, self._code)
        return Stage(f"awq {model.blend} {model.alpha:g}", command, outputs, needs, found, about=model.blend)

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
        own = self.wanted.questions
        needs = needs if own else (*needs, "questions")
        found = inputs.of_answers(resolved, self._code, own)
        return Stage(
            title, command, (self.evaluation(model),), needs, found,
            grows=True, about=name, work=counts.of(self._counts, self.asked[model]),
        )  # fmt: skip

    def _report(self, needs: list[str]) -> Stage:
        questions = ("--questions", str(self.wanted.questions)) if self.wanted.questions else ()
        command = ("recipe", "report", *self._profile(self.wanted.overrides), *self._data_options(), *questions)
        return Stage("report", command, (self.wanted.report_folder,), tuple(needs), inputs.of_report(self._code))

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

    def _data_options(self) -> tuple[str, ...]:
        raw = () if self.wanted.data is None else ("--data", str(self.wanted.data))
        return (*raw, *(word for file in self.wanted.evaluation for word in ("--decontaminate", str(file))))
