"""A job for another environment's interpreter: how a module is given it, tells how far it is, answers, fails and ends.

The job goes in as JSON on stdin. What comes back on stdout is one JSON object a line: ``{"doing": what, "done": n,
"total": m}``, what else a module has to say, and last ``{"result": ...}``, ``{"error": [what, where, way_out]}``, or
``{"traceback": text}`` of an error that nobody foresaw. Whatever libraries print goes to stderr: into a log, or to the
user. Exit codes: 0, 3 after an error that was explained, 1 after another, 130 after Ctrl-C. Both ends of the line are
here; the other programs (axolotl, vLLM's server) are ``children``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any

from spine.children import CPU_MEMORY, end, end_of_log, running, what_it_said
from spine.environments import python, variables
from spine.errors import STOPPED, RecipeError
from spine.paths import ROOT, shown
from spine.unforeseen import kept

# Told what is being done, how much of it is done, how much there is.
OnProgress = Callable[[str, int, int], None]

EXPLAINED, UNFORESEEN = 3, 1
_TOLD_EVERY_SECONDS = 0.2
# numpy's: a job's own threads are its parallelism. And a log in order, to the last line before a crash.
_OURS = {**CPU_MEMORY, "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
_WAYS_OUT = {"No space left on device": "free some space and run the same command again; nothing half-written was kept"}


def run(
    environment: str, module: str, job: Any, on_progress: OnProgress = lambda what, done, total: None, **how: Any
) -> Any:
    """Runs ``python -m module`` in an environment to its end and returns its result; ``how``: see ``started``.

    Raises:
        RecipeError: the environment is not installed, or the job failed: in its own words, or with the end of its log.
        KeyboardInterrupt: it was stopped.
    """
    with started(environment, module, job, **how) as messages:
        for message in messages:
            match message:
                case {"result": result}:
                    return result
                case {"doing": what, "done": done, "total": total}:
                    on_progress(what, done, total)
    raise AssertionError("`started` ends with a result or raises")


@contextmanager
def started(
    environment: str,
    module: str,
    job: Any,
    *,
    log: Path | None = None,
    quiet: bool = False,
    scratch: Path | None = None,
    values: Mapping[str, str] = MappingProxyType(_OURS),
    offline: bool = True,
    stop: signal.Signals = signal.SIGTERM,
    ways_out: Mapping[str, str] = _WAYS_OUT,
) -> Iterator[Iterator[Mapping[str, Any]]]:
    """``python -m module`` in an environment, at work for as long as the block lasts; yields what it says.

    Args:
        job: a JSON value; dataclasses and paths may be among it.
        log: gets what the job's libraries print; without one the user does, or, if ``quiet``, nobody but an error.
        scratch: where libraries that leave files in the working or the temporary folder leave them.
        values: environment variables, unless the user has set them.
        offline: all files are on this disk, so that nothing waits for a hub that may be out of reach.
        stop: how it is asked to end when we do.
        ways_out: of a failure in whose last words the key stands.
    """
    given = {**values, **variables(environment, offline=offline)}
    if scratch:
        scratch.mkdir(parents=True, exist_ok=True)
        given["TMPDIR"] = str(scratch)
    command = [str(python(environment)), "-m", module]
    with ExitStack() as stack:
        text = stack.enter_context(tempfile.TemporaryFile())
        text.write(json.dumps(job, default=_plain).encode())
        text.seek(0)
        sink = stack.enter_context(log.open("ab")).fileno() if log else None
        if quiet:
            sink = stack.enter_context(tempfile.TemporaryFile()).fileno()
        child = stack.enter_context(
            running(command, stop, cwd=scratch or ROOT, env=given, stdin=text, stdout=subprocess.PIPE, stderr=sink)
        )
        yield _messages(child, module, log, sink, ways_out)
        if child.poll() is None:  # a server, which nobody asks any more
            end(child, stop)


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else os.fspath(value)


def _messages(
    child: subprocess.Popen[bytes],
    module: str,
    log: Path | None,
    sink: int | None,
    ways_out: Mapping[str, str],
) -> Iterator[Mapping[str, Any]]:
    """All of them; after the last one the child has ended well."""
    result, traced = None, ""
    assert child.stdout is not None
    for message in map(_message, child.stdout):
        match message:
            case {"error": [what, where, out]}:
                raise RecipeError(what, where=where, way_out=out)
            case {"traceback": text}:
                traced = text
            case {"result": _}:
                result = message
            case {}:
                yield message
    code = child.wait()
    if code == STOPPED:
        raise KeyboardInterrupt
    if code != 0 or result is None:
        if sink is not None:
            os.write(sink, traced.encode())
        elif traced:  # nobody reads it on a terminal
            log = kept(traced)
        tail = end_of_log(Path(f"/proc/self/fd/{sink}")) if sink is not None else traced.splitlines()
        way_out = next((hint for mark, hint in ways_out.items() if mark in "\n".join(tail)), None)
        raise RecipeError(f"{module} {what_it_said(tail, code)}", where=shown(log) if log else None, way_out=way_out)
    yield result


def _message(line: bytes) -> Any:
    """None for what a library prints while it is imported, before ``serve`` sends such lines to stderr."""
    try:
        return json.loads(line)
    except ValueError:
        return None


def serve(work: Callable[[Any, Teller], Any], *, at_once: bool = False) -> None:
    """The other end: calls ``work`` with the job and what it can tell; what it returns, or its error, is the answer.

    Args:
        at_once: end without waiting for threads that libraries have left: gptqmodel's and torch's may never.
    """
    tell = Teller()
    try:
        tell.say({"result": work(json.load(sys.stdin), tell)})
    except RecipeError as error:
        tell.say({"error": [error.what, error.where, error.way_out]})
        sys.exit(EXPLAINED)
    except KeyboardInterrupt:
        sys.exit(STOPPED)
    except Exception:
        tell.say({"traceback": traceback.format_exc()})
        sys.exit(UNFORESEEN)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if at_once:
        os._exit(0)


class Teller:
    """Says things to who started this process, several threads at a time if need be; the process's own output goes to
    stderr from now on."""

    def __init__(self) -> None:
        self._line = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
        self._lock, self._told = Lock(), (0.0, "")
        os.dup2(2, 1)  # libraries print to both

    def __call__(self, what: str, done: int, total: int) -> None:
        """An ``OnProgress``; what comes too soon after the last one is not told, the first and the last of it are."""
        now = time.monotonic()
        if done in (0, total) or what != self._told[1] or now - self._told[0] > _TOLD_EVERY_SECONDS:
            self._told = (now, what)
            self.say({"doing": what, "done": done, "total": total})

    def say(self, message: Mapping[str, Any]) -> None:
        """Any other message."""
        with self._lock:
            self._line.write(json.dumps(message) + "\n")
