"""Answering as a step: which model, which questions, how it is asked; ``inference.evaluate`` in the serve environment.

A step that is done is skipped; what its answers and its scores depend on is told here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from axolotl_configs.render import Resolved
from axolotl_configs.schema import Answer
from inference.answering.answer import longest
from inference.answering.engines.cluster import RAY, elsewhere
from inference.answering.engines.settings import is_quantised
from inference.answering.questions import question_files
from inference.answering.rules import Mode
from inference.evaluate import Evaluation
from recipe.steps.asking import merged, run_in_serve, unpacked
from recipe.steps.merge import base_folder, default_alphas
from recipe.steps.mixtures import trained_mixture
from recipe.steps.result_names import SWEEP, adapter_name, model_name, results_folder
from spine.code import code_of
from spine.errors import RecipeError
from spine.hardware import this_machine
from spine.lock import locked
from spine.manifest import Step, file_digest
from spine.mixture import BASE, Mixture
from spine.models import local_folder
from spine.paths import shown
from spine.stamp import stamp
from spine.terminal import say

_MODULE = "inference.evaluate"
# SmolLM2-135M on two idle cores (`make bench ONLY=answering`): 20 s and 0.054 s a question with vLLM, 7 s and 0.176 s
# with transformers.
_WORTH_LOADING_VLLM = 100


@dataclass(frozen=True)
class Target:
    """A model to be asked, with the adapters beside it. ``name`` is that of its folder of results."""

    name: str
    label: str
    model: Path
    mixture: Mixture = BASE


@dataclass(frozen=True, kw_only=True)
class How:
    """How a model is asked, as flags say it; None: as the profile says, or this machine."""

    engine: str | None = None
    mode: str | None = None
    dtype: str = "auto"
    max_length: int | None = None
    workers: int | None = None
    tensor_parallel: int | None = None

    @property
    def on_ray(self) -> bool:
        return self.engine == RAY or self.workers is not None

    def settings(self, resolved: Resolved | None) -> Answer:
        """The profile's ``answer:``, and what the flags say instead."""
        profile = resolved.profile.answer if resolved else Answer()
        engine = None if self.engine == RAY else self.engine
        flags = {"engine": engine, "mode": self.mode, "tensor_parallel": self.tensor_parallel}
        return profile.model_copy(update={key: value for key, value in flags.items() if value is not None})


def gpus_for(answer: Answer) -> int:
    """Over how many GPUs of this machine vLLM splits a model; 0 is a CPU.

    Raises:
        RecipeError: more of them are asked for.
    """
    there, wanted = len(this_machine().gpu_names), answer.tensor_parallel
    if wanted is not None and wanted > max(1, there):
        raise RecipeError(
            f"answer.tensor_parallel is {wanted}, this machine has {there} GPUs",
            way_out="take another --profile, or a smaller --tensor-parallel",
        )
    return there if wanted is None else min(wanted, there)


def gpus_on_ray(answer: Answer) -> int | None:
    """Likewise of a worker of Ray; None: all that a node of the cluster has, which only Ray knows."""
    return answer.tensor_parallel if elsewhere() else gpus_for(answer)


def run_target(resolved: Resolved, alpha: float | None) -> Target:
    """The run's base with its adapters, weighed. A second round at weight 0 is the first one's model, and is called so.

    Raises:
        RecipeError: see ``trained_mixture``.
    """
    weight = default_alphas(resolved.blend.name)[0] if alpha is None else alpha
    base, mixture = base_folder(resolved), trained_mixture(resolved, weight)
    called, start, at = resolved.blend.name, resolved.start, weight
    while start and not at:
        called, at, start = start.parent.blend, start.alpha, start.before
    return Target(adapter_name(weight), f"{called}, {at:g}" if at else f"{base.name} (base)", base, mixture)


def model_target(model: str, adapters: Mixture, alpha: float | None, resolved: Resolved | None) -> Target:
    """A folder, a folder of the run (``awq-0.5625``), a name on the hub, or ``base``: the run's base model."""
    if model == "base" and resolved:
        folder = base_folder(resolved)
    elif resolved and (resolved.run.folder / model).is_dir():
        folder = resolved.run.folder / model
    else:
        folder = local_folder(model)
    shown_model = f"{folder.name} ({model})" if model == "base" else model.rstrip("/")
    mixture = adapters * (1.0 if alpha is None else alpha)
    tail = "".join(f", {Path(part.folder).name} {part.share:g}" for part in mixture.parts)
    return Target(model_name(model.rstrip("/") + tail), shown_model + tail, folder, mixture)


def held_out(resolved: Resolved) -> Path:
    """The run's held-out rows.

    Raises:
        RecipeError: its data are not built.
    """
    file = resolved.run.data / "val.parquet"
    if not file.exists():
        raise RecipeError(
            "the run has no held-out rows yet",
            where=shown(file),
            way_out=f"make data-{resolved.blend.name}, or QUESTIONS=/path/to/development.json",
        )
    return file


def evaluation_of(
    target: Target, questions: Path, resolved: Resolved | None, how: How, *, count: int, limit: int | None = None,
    tasks: tuple[str, ...] = (), tracks: tuple[int, ...] = (), contest: bool = False, mergeable: bool = False,
) -> Evaluation:  # fmt: skip
    """The evaluation of ``target`` on ``count`` chosen questions of a file or folder, in a folder named after both.

    Where it is answered, here or on Ray, is no part of what the answers depend on: one may go on where the other was.

    Args:
        mergeable: adapters are merged before vLLM loads them where that is faster (``merged``).

    Raises:
        RecipeError: see ``gpus_for`` and ``longest``; or the contest's way of asking on Ray.
    """
    chosen = how.settings(resolved)
    if how.on_ray and contest:
        raise RecipeError(
            "--contest asks 16 questions at a time, on the clock: there is nothing for Ray to share",
            way_out="leave out --workers and --engine ray",
        )
    gpus, mode = gpus_on_ray(chosen) if how.on_ray else gpus_for(chosen), str(chosen.mode)
    auto = "vllm" if gpus != 0 or _needs_vllm(target, count, mergeable and not how.on_ray) else "transformers"
    engine = auto if chosen.engine == "auto" else chosen.engine
    length = longest(str(target.model), how.max_length)
    answers = {
        "model": stamp(target.model),
        "mixture": target.mixture.stamps(),
        "questions": {name: file_digest(file) for file, name in question_files(questions).items()},
        "engine": [engine, how.dtype, mode, length],
        "selection": [limit, list(tasks), list(tracks)],
        "code": code_of("inference.answering.contest" if contest else "inference.answering.answer"),
    }
    folder = results_folder(
        resolved.run.folder if resolved else None, target.name, questions,
        mode=mode, limit=limit, tasks=tasks, tracks=tracks, contest=contest,
    )  # fmt: skip
    return Evaluation(
        label=target.label + (f", {mode}" if mode != Mode.EXACT else ""), folder=str(folder),
        questions=str(questions.absolute()), inputs={"answers": answers, "scoring": code_of(_MODULE)},
        model=str(target.model), mixture=target.mixture, engine=engine, mode=mode, max_length=length,
        dtype=how.dtype, gpus=gpus,
        workers=(how.workers or 0) if how.on_ray else None, limit=limit, tasks=tasks, tracks=tracks, contest=contest,
    )  # fmt: skip


def sweep_of(
    resolved: Resolved, weights: Sequence[float], questions: Path, how: How, *, count: int, limit: int | None = None
) -> tuple[dict[float, Evaluation], Step]:
    """The run's evaluation at each wise-ft weight, and the step that lays them side by side.

    Args:
        count: of the questions times that of the weights.

    Raises:
        RecipeError: as ``run_target`` and ``evaluation_of``.
    """
    targets = {alpha: run_target(resolved, alpha) for alpha in weights}
    chosen = partial(evaluation_of, questions=questions, resolved=resolved, count=count, limit=limit)
    if not how.on_ray:  # one loaded model answers all of them, weight 0 without an adapter as well
        most = max(targets.values(), key=lambda target: len(target.mixture.parts))
        how = replace(how, engine=chosen(most, how=how).engine)
    found = {alpha: chosen(target, how=how) for alpha, target in targets.items()}
    inputs = {
        "evaluations": {f"{alpha:g}": evaluation.step.key for alpha, evaluation in found.items()},
        "code": code_of("inference.scoring.sweep"),
    }
    mode = str(how.settings(resolved).mode)
    return found, Step(results_folder(resolved.run.folder, SWEEP, questions, mode=mode, limit=limit), SWEEP, inputs)


def _needs_vllm(target: Target, count: int, mergeable: bool) -> bool:
    """Without a GPU: for models in 4 bit, which transformers does not read there, and for many questions."""
    return is_quantised(target.model) or (count >= _WORTH_LOADING_VLLM and (mergeable or not target.mixture.parts))


def ensure_evaluated(evaluation: Evaluation) -> None:
    """Runs the evaluation unless it is done already."""
    folder = Path(evaluation.folder)
    with locked(folder):
        if evaluation.step.is_done():
            say(f"eval: {shown(folder)} is done and up to date")
            return
        with (
            unpacked(Path(evaluation.model), evaluation.gpus, folder / ".unpacked") as model,
            merged(replace(evaluation, model=str(model))) as ready,
        ):
            run_in_serve([ready])
