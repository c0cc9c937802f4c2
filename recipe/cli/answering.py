"""What `eval`, `sweep`, `serve` and `ask` have in common: which model, which questions, which engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from axolotl_configs.render import Resolved
from inference.job import ENGINES, Job
from inference.rules import Mode
from postprocess.produce import identity
from recipe import manifest
from recipe.children import CPU_MEMORY
from recipe.cli.common import say
from recipe.cli.postprocessing import base_folder, default_alphas
from recipe.environments import python, variables
from recipe.errors import RecipeError
from recipe.hardware import this_machine
from recipe.manifest import file_digest, tree_digest
from recipe.models import local_folder, model_files
from recipe.paths import ROOT, RUNS, shown

_INFERENCE = ROOT / "inference"
# What an answer depends on; the rest of inference/ only scores.
_ANSWERING = ("task_type", "decoding", "rules", "processors", "vllm_rules", "adapter", "engines", "questions")
_ANSWERING_PATHS = tuple(_INFERENCE / name if name == "engines" else _INFERENCE / f"{name}.py" for name in _ANSWERING)
# With SmolLM2-135M on one core, start-up included, 96 questions cost 35 s of CPU time with vLLM (27 s to load) and 52 s
# with transformers (6 s to load).
_WORTH_LOADING_VLLM = 50
_LONGEST = 4096  # tokens of prompt and answer; ShopBench's longest prompts are half of it
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Target:
    """A model to be asked. ``name`` is that of its folder of results."""

    name: str
    label: str
    model: Path
    adapter: Path | None = None
    alpha: float = 1.0


def engine_options(function: F) -> F:
    """--engine, --mode, --dtype, --max-length."""
    options = [
        click.option(
            "--engine", type=click.Choice(ENGINES),
            help="[default: vllm; without a GPU and for few questions, transformers]"
        ),
        click.option(
            "--mode", type=click.Choice([mode.value for mode in Mode]), default=Mode.EXACT.value, show_default=True,
            envvar="MODE",
            help="How far answers are bound: the winners' biases, what the question allows, or nothing.  [env: MODE]",
        ),
        click.option("--dtype", default="auto", show_default=True, help="Of the weights: float32, bfloat16, float16."),
        click.option("--max-length", type=click.IntRange(min=64), help="Tokens of prompt and answer together."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


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
    return Target(f"adapter-{weight:g}", f"{blend}, {weight:g}", base_folder(resolved), adapter, weight)


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
    return Target(_slug(model.rstrip("/") + tail), shown_model + tail, folder, adapter, weight)


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
    target: Target, questions: Path, run_folder: Path | None, *, engine: str | None, mode: str, dtype: str,
    max_length: int | None, count: int, limit: int | None = None, tasks: tuple[str, ...] = (),
) -> Job:  # fmt: skip
    """The evaluation of ``target`` on a file of ``count`` chosen questions, in a folder named after both."""
    gpus = len(this_machine().gpu_names)
    engine = engine or ("vllm" if gpus or count >= _WORTH_LOADING_VLLM else "transformers")
    length = min(max_length or _LONGEST, _room(target.model))
    answers = {
        "model": identity(target.model),
        "adapter": identity(target.adapter) if target.adapter else None,
        "alpha": target.alpha if target.adapter else None,
        "questions": file_digest(questions) if questions.is_file() else None,
        "engine": [engine, dtype, mode, length],
        "selection": [limit, list(tasks)],
        "code": tree_digest(*_ANSWERING_PATHS, ROOT / "prompts" / "system.j2"),
    }
    inputs = {"answers": answers, "scoring": tree_digest(_INFERENCE)}
    parts = [target.name, *([] if run_folder and questions.parent.parent == run_folder else [f"@{questions.stem}"])]
    chosen = [mode] * (mode != Mode.EXACT) + [f"limit={limit}"] * (limit is not None) + list(tasks)
    name = "".join(parts) + "".join(f",{part}" for part in chosen)
    folder = (run_folder or RUNS) / "eval" / name
    return Job(
        target.label + (f", {mode}" if mode != Mode.EXACT else ""),
        str(folder), str(target.model), str(questions.absolute()), inputs,
        str(target.adapter) if target.adapter else None, target.alpha, engine, mode, limit, tasks, length, dtype, gpus,
    )  # fmt: skip


def run_in_serve(module: str, text: str, model: Path) -> None:
    """Runs a module of the serve environment with ``text`` on its stdin; what it says is for the user.

    Raises:
        RecipeError: it failed; its own message stands above.
    """
    environment = {**_cpu_settings(), **variables("serve", offline=model.is_dir())}
    done = subprocess.run(
        [str(python("serve")), "-m", module], input=text, text=True, cwd=ROOT, env=environment, check=False
    )
    if done.returncode == 3:
        raise click.exceptions.Exit(1)  # the child has explained it
    if done.returncode == 130:
        raise click.Abort
    if done.returncode != 0:
        killed = f" (killed by signal {-done.returncode}; out of memory?)" if done.returncode < 0 else ""
        raise RecipeError(
            f"{module} ended with code {done.returncode}{killed}",
            way_out="the same command goes on after the last answer that was written",
        )


def _cpu_settings() -> dict[str, str]:
    """Without a GPU: memory as torch likes it, and no more threads than cores that are idle.

    On a machine whose two cores were busy, a step of a 135M model took 0.13 s with one thread and 2.7 s with two.
    """
    machine = this_machine()
    if machine.gpu_names:
        return {}
    idle = max(1, machine.cores - round(os.getloadavg()[0]))
    if idle < machine.cores:
        say(f"this machine is busy: {idle} of {machine.cores} cores are used (OMP_NUM_THREADS=... overrides)")
    # vLLM would bind its threads to cores that others use.
    return {**CPU_MEMORY, "OMP_NUM_THREADS": str(idle), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}


def _room(model: Path) -> int:
    config = json.loads(model_files(str(model), ["config.json"])["config.json"].read_text(encoding="utf-8"))
    return int(config.get("max_position_embeddings") or _LONGEST)


def _slug(text: str) -> str:
    """A folder's name: ``/models/a b`` is ``a-b``, ``Qwen/Qwen2-7B`` stays apart from another's ``Qwen2-7B``."""
    path = Path(text)
    short = path.name if path.is_absolute() or text.startswith((".", "models" + os.sep)) else text
    return re.sub(r"[^\w.=,-]+", "-", short).strip("-") or "model"
