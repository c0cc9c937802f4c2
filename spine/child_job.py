"""A job for another environment's interpreter: settings go in as JSON, progress and result come back as JSON lines.

What the job's libraries print goes to a log file. Both ends of the line are here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spine.children import CPU_MEMORY, end_of_log, running, what_it_said
from spine.environments import python, variables
from spine.errors import RecipeError
from spine.paths import shown

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Told what is being done, how much of it is done, how much there is.
OnProgress = Callable[[str, int, int], None]

_WAYS_OUT = {
    "out of memory": "fewer or shorter texts (--max-tokens), or a GPU with more memory",
    "No space left on device": "free some space and run the same command again; nothing half-written was kept",
}


@dataclass(frozen=True)
class Export:
    """A quantisation. Paths are absolute; ``texts`` is a JSON list of rendered conversations."""

    model: str
    out: str
    texts: str
    group: int
    format: str  # awq or gptq
    max_tokens: int


@dataclass(frozen=True)
class Measure:
    """A comparison of an export with the model it was made from, on ``texts`` that were not calibrated on."""

    model: str
    export: str
    texts: str
    group: int


@dataclass(frozen=True)
class Verify:
    """``against``: the model before padding. ``forward``: compare both models' logits in fp32 too, which loads them."""

    model: str
    against: str | None = None
    forward: bool = False


def run(
    environment: str, module: str, job: DataclassInstance, folder: Path, log: Path, on_progress: OnProgress
) -> dict[str, Any]:
    """Runs ``python -m module`` in an environment to its end and returns its result.

    Args:
        folder: for the settings file and whatever the libraries leave; the caller removes it.
        log: gets what the job's libraries print.

    Raises:
        RecipeError: the environment is not installed, or the job failed (with the end of its log).
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / f"{module}.json"
    settings.write_text(json.dumps(asdict(job)), encoding="utf-8")
    # Libraries that leave folders in the temporary directory leave them in one that is removed.
    # numpy's: a job's own threads are its parallelism. And a log in order, to the last line before a crash.
    ours = {**CPU_MEMORY, "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    values = {**ours, **variables(environment, offline=True), "TMPDIR": str(folder)}
    command = [str(python(environment)), "-m", module, str(settings)]
    result: dict[str, Any] | None = None
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
    with log.open("ab") as sink, running(command, cwd=folder, env=values, stderr=sink, **streams) as child:
        assert child.stdout is not None
        for line in child.stdout:
            match _message(line):
                case {"error": [what, where, way_out]}:
                    raise RecipeError(what, where=where, way_out=way_out)
                case {"result": found}:
                    result = found
                case {"doing": what, "done": done, "total": total}:
                    on_progress(what, done, total)
        code = child.wait()
    if code != 0 or result is None:
        tail = end_of_log(log)
        way_out = next((hint for mark, hint in _WAYS_OUT.items() if mark in "\n".join(tail)), None)
        raise RecipeError(f"{module} {what_it_said(tail, code)}", where=shown(log), way_out=way_out)
    return result


def _message(line: bytes) -> Any:
    """None for what a library prints while it is imported, before ``serve`` sends such lines to the log."""
    try:
        return json.loads(line)
    except ValueError:
        return None


def serve(work: Callable[[Mapping[str, Any], OnProgress], dict[str, Any]]) -> None:
    """The other end: calls ``work`` with the settings named on the command line; a RecipeError goes to the caller."""
    told = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # libraries print to both: all of it belongs into the log

    def say(message: dict[str, Any]) -> None:
        told.write(json.dumps(message) + "\n")

    def progress(what: str, done: int, total: int) -> None:
        say({"doing": what, "done": done, "total": total})

    try:
        result = work(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), progress)
    except RecipeError as error:
        say({"error": [error.what, error.where, error.way_out]})
        sys.exit(2)
    say({"result": result})
    for stream in (told, sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)  # gptqmodel's and torch's worker threads may otherwise keep the interpreter from ending
