"""A job in another environment: it tells how far it is, answers, fails in words, and ends when we do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from spine import child_job, environments, unforeseen
from spine.child_job import started
from spine.errors import RecipeError
from spine.paths import ROOT

MODULE = "tests.spine.jobs"
PARENT = f"""
from spine import child_job, environments
from pathlib import Path
import sys
environments.VENVS = Path(sys.argv[1])
with child_job.started("other", "{MODULE}", {{"do": "listen"}}, quiet=True) as messages:
    for message in messages:
        print(message.get("pid", ""), flush=True)
"""


@pytest.fixture(autouse=True)
def venvs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment that is this one."""
    folder = tmp_path / "venvs" / "other"
    (folder / "bin").mkdir(parents=True)
    (folder / ".installed-0").touch()
    (folder / "bin" / "python").write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} "$@"\n')
    (folder / "bin" / "python").chmod(0o755)
    monkeypatch.setattr(environments, "VENVS", tmp_path / "venvs")
    return tmp_path / "venvs"


def run(what: str, **how: Any) -> tuple[Mapping[str, Any], list[tuple[str, int, int]]]:
    told: list[tuple[str, int, int]] = []
    return child_job.run("other", MODULE, {"do": what}, lambda *event: told.append(event), **how), told


def test_progress_and_result_come_back_and_chatter_goes_to_the_log(tmp_path: Path) -> None:
    log, scratch = tmp_path / "log", tmp_path / "scratch"
    found, told = run("well", log=log, scratch=scratch, values={"OWN": "1"})
    assert found == {"folder": str(scratch), "job": {"do": "well"}, "own": "1"}
    assert told == [("working", 1, 2)]
    chatter = ["a library's chatter, on the output that carries the messages", "the end"]  # on two streams
    assert sorted(log.read_text().splitlines()) == chatter
    assert (scratch / "left behind").exists()


def test_without_a_log_the_user_reads_the_chatter_or_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("well", quiet=True)[0]["folder"] == str(ROOT)
    assert capfd.readouterr() == ("", "")
    run("well")
    assert capfd.readouterr() == ("", "a library's chatter, on the output that carries the messages\nthe end\n")


def test_what_goes_wrong_is_explained(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unforeseen, "RUNS", tmp_path / "runs")
    log = tmp_path / "log"
    with pytest.raises(RecipeError) as error:
        run("explain", log=log)
    told = error.value
    assert (told.what, told.where, told.way_out) == ("too small", "model.safetensors", "a larger one")
    with pytest.raises(RecipeError, match=r"ended with code 1:(?s:.)*MemoryError.*out of memory") as error:
        run("fail", log=log, ways_out={"out of memory": "a larger machine"})
    assert (error.value.where, error.value.way_out) == (str(log), "a larger machine")
    with pytest.raises(RecipeError, match=r"ended with code 1:(?s:.)*MemoryError") as error:
        run("fail", quiet=True)
    assert error.value.where is None
    with pytest.raises(RecipeError, match="killed by signal 9; out of memory"):
        run("be killed", log=log)
    with pytest.raises(RecipeError, match="ended with code 0"):
        run("say nothing", log=log)
    with pytest.raises(RecipeError, match=r"ended with code 1:(?s:.)*MemoryError(?s:.)*\n  -> once more") as error:
        run("fail", ways_out={"": "once more"})
    assert error.value.where is not None and "Traceback (most" in Path(error.value.where).read_text()
    assert "Traceback" not in capfd.readouterr().err  # it is not for the terminal
    with pytest.raises(RecipeError, match="the missing environment is not installed"):
        child_job.run("missing", MODULE, {})


def test_a_job_that_was_stopped_stops_us() -> None:
    with pytest.raises(KeyboardInterrupt):
        run("be stopped", quiet=True)


def test_a_job_larger_than_a_pipe_and_of_our_own_types_arrives_whole(tmp_path: Path) -> None:
    job = {"do": "well", "path": tmp_path, "texts": ["x" * 1000] * 1000}
    found = child_job.run("other", MODULE, job, quiet=True)
    assert found["job"] == {**job, "path": str(tmp_path)}


def test_a_server_ends_with_the_block(venvs: Path) -> None:
    with started("other", MODULE, {"do": "listen"}, quiet=True) as messages:
        pid = next(message["pid"] for message in messages if "pid" in message)
        os.kill(pid, 0)
    assert not alive(pid)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_ends_when_we_are_stopped_or_killed(how: signal.Signals, venvs: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(venvs)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        pid = next(int(line) for line in parent.stdout if line.strip())
        parent.send_signal(how)
        parent.wait(20)
    deadline = time.monotonic() + 20
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)


def test_a_child_hears_sigint_also_where_a_script_has_us_ignore_it() -> None:
    """``make reproduce &`` in a script, and then ``kill``: it was deaf, and killed a minute later."""
    program = """
import signal
from spine.children import running
signal.signal(signal.SIGINT, signal.SIG_IGN)
try:
    with running(["sleep", "600"], signal.SIGINT) as child:
        raise KeyboardInterrupt
except KeyboardInterrupt:
    print(child.returncode)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) == -signal.SIGINT


def alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
