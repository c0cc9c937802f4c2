"""Nothing half-written survives: whole files and folders, locks, manifests."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spine import manifest
from spine.atomic import require_free, whole_file, whole_folder, write_text
from spine.errors import RecipeError
from spine.lock import locked
from spine.manifest import Step
from spine.paths import ROOT


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    """/dev/null, say, which root could replace, or `--json >(jq ...)`."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        write_text(pipe, "passed on")
        assert reader.communicate(timeout=20)[0] == "passed on"
    assert pipe.is_fifo() and list(tmp_path.iterdir()) == [pipe]


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    with pytest.raises(ZeroDivisionError), whole_file(path) as temporary:
        temporary.write_text("half")
        _ = 1 / 0
    assert list(path.parent.iterdir()) == []
    write_text(path, "whole")
    assert path.read_text() == "whole" and [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_a_failure_leaves_the_older_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with whole_folder(folder) as temporary:
        (temporary / "a").write_text("1")
    with pytest.raises(ZeroDivisionError), whole_folder(folder) as temporary:
        (temporary / "a").write_text("2")
        _ = 1 / 0
    assert (folder / "a").read_text() == "1" and [p.name for p in tmp_path.iterdir()] == ["data"]


def test_leftovers_of_a_killed_attempt_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".data.99.tmp").mkdir()
    with whole_folder(tmp_path / "data"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_full_disk_is_one_clear_message_and_no_file(tmp_path: Path) -> None:
    """A real limit of the operating system on the size of files stands in for the end of the disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        message = r"rows.bin: cannot write: .* GiB free(.|\n)*free some space"
        with pytest.raises(RecipeError, match=message), whole_file(tmp_path / "rows.bin") as temporary:
            temporary.write_bytes(bytes(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_too_little_space_is_refused_before_work_begins(tmp_path: Path) -> None:
    require_free(tmp_path, 1, "a step")
    with pytest.raises(RecipeError, match=r"a step needs about 1048576.0 GiB, .* are free(.|\n)*RECIPE_RUNS"):
        require_free(tmp_path / "not" / "yet" / "there", 2**50, "a step")


def test_a_second_holder_is_refused_with_the_firsts_pid(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(RecipeError, match=rf"pid {os.getpid()}\) is at work"), locked(tmp_path):
        pass
    with locked(tmp_path):  # free again
        pass


def test_a_killed_holder_leaves_no_stale_lock_but_its_child_keeps_it(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, pathlib; from spine.lock import locked\n"
        "with locked(pathlib.Path(sys.argv[1])) as fd:\n"
        "    child = subprocess.Popen(['sleep', '60'], pass_fds=(fd,)); print(child.pid, flush=True); child.wait()"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    holder.kill()
    holder.wait()
    with pytest.raises(RecipeError, match=f"pid {holder.pid}"), locked(tmp_path):
        pass
    os.kill(child, signal.SIGKILL)
    for _ in range(100):
        try:
            with locked(tmp_path):
                return
        except RecipeError:
            time.sleep(0.05)
    pytest.fail("the lock outlived its last holder")


def finished(folder: Path, **inputs: object) -> Step:
    step = Step(folder, "data", inputs)
    folder.mkdir(exist_ok=True)
    (folder / "rows").write_text("abc")
    step.finish(["rows"], note="kept")
    return step


def test_a_step_is_done_when_inputs_and_outputs_are_the_same(tmp_path: Path) -> None:
    step = finished(tmp_path / "a", seed=1)
    assert step.is_done() and not Step(step.folder, "data", {"seed": 2}).is_done()
    found = manifest.read(step.folder)
    assert found is not None and found["note"] == "kept" and found["outputs"]["rows"]["bytes"] == 3


@pytest.mark.parametrize("spoil", ["flip", "truncate", "delete", "no manifest", "bad manifest"])
def test_a_spoilt_result_is_not_trusted(tmp_path: Path, spoil: str) -> None:
    step = finished(tmp_path / "a", seed=1)
    rows, written = step.folder / "rows", step.folder / manifest.NAME
    match spoil:
        case "flip":
            rows.write_text("abd")
        case "truncate":
            rows.write_text("ab")
        case "delete":
            rows.unlink()
        case "no manifest":
            written.unlink()
        case "bad manifest":
            written.write_text(json.dumps([1])[:-1])
    assert not step.is_done()
