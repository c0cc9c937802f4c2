"""Asking in the serve environment, as this machine lets us: on a CPU with adapters merged, with 4 bit unpacked where it
cannot multiply them, and with no more threads than idle cores."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from inference.answering.engines.settings import is_quantised, lacks_kernels
from inference.evaluate import Evaluation
from postprocess.awq.unpack import unpack_model
from postprocess.merge.plan import MergeJob
from recipe.steps.merge import ensure_produced
from spine import child_job
from spine.children import CPU_MEMORY
from spine.hardware import idle_cores, this_machine
from spine.mixture import BASE
from spine.paths import shown
from spine.progress import timed
from spine.terminal import say

_THREADS = "OMP_NUM_THREADS"


@contextmanager
def merged(evaluation: Evaluation) -> Iterator[Evaluation]:
    """The evaluation; where vLLM answers on a CPU, its adapters are merged into the base for as long as it is asked.

    SmolLM2-135M's takes a second, and saves vLLM's LoRA, which takes many times as long for an answer there.

    Raises:
        RecipeError: what ``postprocess.merge.step`` refuses.
    """
    model, mixture = Path(evaluation.model), evaluation.mixture
    here = evaluation.engine == "vllm" and evaluation.gpus == 0 and evaluation.workers is None
    if not here or not mixture.parts or is_quantised(model):
        yield evaluation
    else:
        with _scratch(Path(evaluation.folder) / ".merged") as folder:
            out = folder / "merged"
            ensure_produced(MergeJob.mixing(model, {out: mixture}))
            yield replace(evaluation, model=str(out), mixture=BASE)


@contextmanager
def unpacked(model: Path, gpus: int | None, folder: Path) -> Iterator[Path]:
    """The model; where this CPU cannot multiply its 4 bit, in fp32 in ``folder`` for as long as it is asked.

    Raises:
        RecipeError: ``postprocess.awq.unpack`` does not know how it is quantised.
    """
    with _scratch(folder):
        if not lacks_kernels(model, gpus):
            yield model
            return
        with timed(f"unpacking {shown(model)} to fp32: vLLM multiplies 4 bit with AVX-512 only, which this CPU lacks"):
            unpack_model(model, folder)
        yield folder


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder that is not there before, neither a killed attempt's, nor after."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_in_serve(evaluations: Sequence[Evaluation]) -> None:
    """Runs them in the serve environment, which says what it does to the user. It ends when we do, however that comes:
    nobody would read the answers of one that went on.

    Raises:
        RecipeError: it failed.
        KeyboardInterrupt: it was stopped.
    """
    child_job.run(
        "serve", Evaluation.__module__, evaluations, values=cpu_settings(), offline=Path(evaluations[0].model).is_dir(),
        stop=signal.SIGINT, ways_out={"": "the same command goes on after the last answer that was written"},
    )  # fmt: skip


def cpu_settings() -> dict[str, str]:
    """Without a GPU: memory as torch likes it, and no more threads than cores that are idle, unless the user says how
    many.

    On a machine whose two cores were busy, a step of a 135M model took 0.13 s with one thread and 2.7 s with two.
    """
    machine = this_machine()
    if machine.gpu_names:
        return {}
    asked = os.environ.get(_THREADS)
    threads = int(asked) if asked and asked.isdecimal() else idle_cores()
    if not asked and threads < machine.cores:
        say(
            f"this machine is busy: answered with {threads} of {machine.cores} threads, which takes up to "
            f"{machine.cores / threads:.2g} times as long as when it is idle ({_THREADS}=... overrides)"
        )
    # vLLM would bind its threads to cores that others use.
    return {**CPU_MEMORY, _THREADS: str(threads), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
