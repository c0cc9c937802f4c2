"""What `eval`, `sweep`, `serve` and `ask` have in common: which model, which questions, which engine."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from axolotl_configs.render import Resolved
from axolotl_configs.schema import Answer
from inference.answering.engines.cluster import elsewhere
from inference.answering.engines.settings import is_quantised, lacks_kernels
from inference.answering.job import ENGINES, LONGEST, SHORTEST, Job, longest
from inference.answering.questions import question_files
from inference.answering.rules import Mode
from postprocess.awq.unpack import unpack_model
from recipe.commands.options import RAY, profile_option, resolve_run, set_option, spread_options
from recipe.steps.data import ensure_model
from recipe.steps.merge import base_folder, default_alphas
from recipe.steps.result_names import adapter_name, model_name, results_folder
from spine import manifest
from spine.children import CPU_MEMORY, running
from spine.code import code_of
from spine.environments import python, variables
from spine.errors import RecipeError
from spine.hardware import idle_cores, this_machine
from spine.manifest import file_digest
from spine.models import local_folder
from spine.paths import ROOT, shown
from spine.progress import timed
from spine.stamp import stamp
from spine.terminal import say

# What answers, and what then looks at the clock.
_ANSWERING = tuple(f"inference.answering.{name}" for name in ("questions", "adapter", "vllm_rules", "engines.ray"))
_TIMING = ("inference.answering.contest",)
# SmolLM2-135M on two idle cores (`make bench ONLY=answering`): 20 s and 0.054 s a question with vLLM, 7 s and 0.176 s
# with transformers.
_WORTH_LOADING_VLLM = 100
_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Target:
    """A model to be asked. ``name`` is that of its folder of results."""

    name: str
    label: str
    model: Path
    adapter: Path | None = None
    alpha: float = 1.0


def target_options(function: F) -> F:
    """BLEND, --profile, --set, --model, --adapter and --alpha: what ``chosen_target`` takes."""
    options = [
        click.argument("blend", required=False),
        profile_option,
        set_option,
        click.option(
            "--model", metavar="MODEL", help="Folder, hub name, folder of the run, or `base`, instead of BLEND's."
        ),
        click.option("--adapter", type=_FOLDER, help="With --model: a LoRA adapter for it."),
        click.option(
            "--alpha", type=click.FloatRange(0, 2), envvar="ALPHA",
            help="Wise-ft weight.  [default: the blend's in tracks.yaml; env: ALPHA]",
        ),
    ]  # fmt: skip
    return _with(options, function)


def engine_options(function: F) -> F:
    """--engine, and those of ``spread_options`` and ``mode_options``."""
    engine = click.option(
        "--engine", type=click.Choice((*ENGINES, RAY)),
        help="ray: the default one in workers of Ray, here or on the cluster of RAY_ADDRESS.  "
        "[default: the profile's, else vllm; without a GPU and for few questions, transformers]",
    )  # fmt: skip
    return engine(spread_options(mode_options(function)))


def mode_options(function: F) -> F:
    """--mode, --dtype, --max-length."""
    options = [
        click.option(
            "--mode", type=click.Choice([mode.value for mode in Mode]), envvar="MODE",
            help="How far answers are bound: the winners' biases, what the question allows, or nothing.  "
            "[default: the profile's, else exact; env: MODE]",
        ),
        click.option("--dtype", default="auto", show_default=True, help="Of the weights: float32, bfloat16, float16."),
        click.option(
            "--max-length", type=click.IntRange(min=SHORTEST),
            help=f"Tokens of prompt and answer together.  [default: {LONGEST}, or what the model was made for]",
        ),
    ]  # fmt: skip
    return _with(options, function)


def _with(options: Sequence[Callable[[F], F]], function: F) -> F:
    for option in reversed(options):
        function = option(function)
    return function


def answer_settings(
    resolved: Resolved | None, engine: str | None, mode: str | None, tensor_parallel: int | None = None
) -> Answer:
    """The profile's ``answer:``, and what flags say instead."""
    profile = resolved.profile.answer if resolved else Answer()
    flags = {"engine": None if engine == RAY else engine, "mode": mode, "tensor_parallel": tensor_parallel}
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


def chosen_target(
    blend: str | None, profile: str | None, overrides: str, model: str | None, adapter: Path | None,
    alpha: float | None,
) -> tuple[Resolved | None, Target]:  # fmt: skip
    """The run, where a BLEND is named, and the model.

    Raises:
        RecipeError: the serve environment is not installed, or the model is not there.
    """
    if adapter and not model:
        raise click.UsageError("--adapter goes with --model")
    resolved = resolve_run(blend, profile, overrides) if blend else None
    python("serve")  # says how to install it, before anything else is tried
    if resolved and resolved.profile.embedded:
        ensure_model(ROOT / resolved.profile.base_model)
    if model:
        return resolved, model_target(model, adapter, alpha, resolved)
    if not resolved:
        raise click.UsageError("name a BLEND or a --model")
    return resolved, run_target(resolved, alpha)


def run_target(resolved: Resolved, alpha: float | None) -> Target:
    """The run's base with its adapter, weighed.

    Raises:
        RecipeError: the adapter is not trained.
    """
    blend, adapter = resolved.blend.name, resolved.run.train
    if manifest.read(adapter) is None:
        raise RecipeError(
            "the adapter is not trained yet",
            where=shown(adapter),
            way_out=f"make train-{blend}; or score the base model: --model base",
        )
    weight = default_alphas(blend)[0] if alpha is None else alpha
    base = base_folder(resolved)
    label = f"{blend}, {weight:g}" if weight else f"{base.name} (base)"
    return Target(adapter_name(weight), label, base, adapter, weight)


def model_target(model: str, adapter: Path | None, alpha: float | None, resolved: Resolved | None) -> Target:
    """A folder, a folder of the run (``awq-0.56``), a name on the hub, or ``base``: the run's base model."""
    if model == "base" and resolved:
        folder = base_folder(resolved)
    elif resolved and (resolved.run.folder / model).is_dir():
        folder = resolved.run.folder / model
    else:
        folder = local_folder(model)
    weight = 1.0 if alpha is None else alpha
    shown_model = f"{folder.name} ({model})" if model == "base" else model.rstrip("/")
    tail = f", {adapter.name} {weight:g}" if adapter else ""
    return Target(model_name(model.rstrip("/") + tail), shown_model + tail, folder, adapter, weight)


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


def make_job(
    target: Target, questions: Path, resolved: Resolved | None, *, engine: str | None, mode: str | None, dtype: str,
    max_length: int | None, count: int, workers: int | None = None, tensor_parallel: int | None = None,
    limit: int | None = None, tasks: tuple[str, ...] = (), tracks: tuple[int, ...] = (), contest: bool = False,
    mergeable: bool = False,
) -> Job:  # fmt: skip
    """The evaluation of ``target`` on ``count`` chosen questions of a file or folder, in a folder named after both.

    ``mergeable``: an adapter is merged before vLLM loads it where that is faster (``eval.merged``).

    Where it is answered, here or on Ray, is no part of what the answers depend on: one may go on where the other was.
    """
    chosen = answer_settings(resolved, engine, mode, tensor_parallel)
    on_ray = engine == RAY or workers is not None
    if on_ray and contest:
        raise click.UsageError("--contest asks 16 questions at a time, on the clock: there is nothing for Ray to share")
    gpus, mode = gpus_on_ray(chosen) if on_ray else gpus_for(chosen), str(chosen.mode)
    auto = "vllm" if gpus != 0 or _needs_vllm(target, count, mergeable and not on_ray) else "transformers"
    engine = auto if chosen.engine == "auto" else chosen.engine
    length = longest(str(target.model), max_length)
    answers = {
        "model": stamp(target.model),
        "adapter": stamp(target.adapter) if target.adapter and target.alpha else None,  # at 0 it is the base
        "alpha": target.alpha if target.adapter and target.alpha else None,
        "questions": {name: file_digest(file) for file, name in question_files(questions).items()},
        "engine": [engine, dtype, mode, length],
        "selection": [limit, list(tasks), list(tracks)],
        "code": code_of(*_ANSWERING, *(_TIMING if contest else ())),
    }
    inputs = {"answers": answers, "scoring": code_of("inference.answering.job")}
    folder = results_folder(
        resolved.run.folder if resolved else None, target.name, questions,
        mode=mode, limit=limit, tasks=tasks, tracks=tracks, contest=contest,
    )  # fmt: skip
    return Job(
        label=target.label + (f", {mode}" if mode != Mode.EXACT else ""),
        folder=str(folder), questions=str(questions.absolute()), inputs=inputs,
        model=str(target.model), adapter=str(target.adapter) if target.adapter else None, alpha=target.alpha,
        engine=engine, mode=mode, max_length=length, dtype=dtype, gpus=gpus, workers=(workers or 0) if on_ray else None,
        limit=limit, tasks=tasks, tracks=tracks, contest=contest,
    )  # fmt: skip


def _needs_vllm(target: Target, count: int, mergeable: bool) -> bool:
    """Without a GPU: for models in 4 bit, which transformers does not read there, and for many questions."""
    return is_quantised(target.model) or (count >= _WORTH_LOADING_VLLM and (mergeable or target.adapter is None))


@contextmanager
def unpacked(model: Path, gpus: int | None, folder: Path) -> Iterator[Path]:
    """The model; where this CPU cannot multiply its 4 bit, in fp32 in ``folder`` for as long as it is asked.

    Raises:
        RecipeError: ``postprocess.awq.unpack`` does not know how it is quantised.
    """
    shutil.rmtree(folder, ignore_errors=True)  # a killed attempt's
    if not lacks_kernels(model, gpus):
        yield model
        return
    try:
        with timed(f"unpacking {shown(model)} to fp32: vLLM multiplies 4 bit with AVX-512 only, which this CPU lacks"):
            unpack_model(model, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_in_serve(module: str, text: str, model: Path) -> None:
    """Runs a module of the serve environment with ``text`` on its stdin; what it says is for the user. It ends when we
    do, however that comes: nobody would read the answers of one that went on.

    Raises:
        RecipeError: it failed; its own message stands above.
    """
    environment = {**cpu_settings(), **variables("serve", offline=model.is_dir())}
    command = [str(python("serve")), "-m", module]
    with running(command, signal.SIGINT, stdin=subprocess.PIPE, cwd=ROOT, env=environment) as child:
        child.communicate(text.encode())
    code = child.returncode
    if code == 3:
        raise click.exceptions.Exit(1)  # the child has explained it
    if code == 130:
        raise click.Abort
    if code != 0:
        killed = f" (killed by signal {-code}; out of memory?)" if code < 0 else ""
        raise RecipeError(
            f"{module} ended with code {code}{killed}",
            way_out="the same command goes on after the last answer that was written",
        )


def cpu_settings() -> dict[str, str]:
    """Without a GPU: memory as torch likes it, and no more threads than cores that are idle.

    On a machine whose two cores were busy, a step of a 135M model took 0.13 s with one thread and 2.7 s with two.
    """
    machine = this_machine()
    if machine.gpu_names:
        return {}
    idle = idle_cores()
    if idle < machine.cores:
        say(f"this machine is busy: {idle} of {machine.cores} cores are used (OMP_NUM_THREADS=... overrides)")
    # vLLM would bind its threads to cores that others use.
    return {**CPU_MEMORY, "OMP_NUM_THREADS": str(idle), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
