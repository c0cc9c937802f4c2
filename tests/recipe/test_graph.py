"""The graph of stages: what is stale and nothing else, whatever was edited, touched, flipped, deleted or killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postprocess.merge.plan import MergeJob
from postprocess.merge.step import merge_steps, produce
from recipe.walk.graph import Stage, plan, walk
from spine import manifest
from spine.errors import RecipeError
from spine.paths import ROOT
from tests.postprocess.checkpoints import write_adapter, write_model
from tests.recipe import tiny_walk

DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "e": []}


def walked(folder: Path, also: Callable[[Stage], None] = lambda stage: None, say: list[str] | None = None) -> list[str]:
    """Walks in this process; the stages that made something, in order."""

    def run(stage: Stage, title: str) -> None:
        tiny_walk.make(folder, stage.name)
        also(stage)

    told = [] if say is None else say
    walk(lambda: tiny_walk.stages(folder), run, told.append)
    return log(folder)


def log(folder: Path) -> list[str]:
    """What was made since this was asked last."""
    path = folder / "log"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [line for line in lines if not line.startswith("begin ")]


def edit(folder: Path, name: str, text: str) -> None:
    (folder / "source" / name).write_text(f"# edited\n{text}")


def flip(path: Path) -> None:
    found = bytearray(path.read_bytes())
    found[len(found) // 2] ^= 1
    path.write_bytes(found)
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 10))  # a clock may be slower than a test


def right(folder: Path) -> bool:
    return all((stage.outputs[0] / "a.txt").read_text() == tiny_walk.content(folder, stage.name)
               for stage in tiny_walk.stages(folder))  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """The diamond a -> b, c -> d, and e on its own; walked."""
    tiny_walk.build(tmp_path / "world", DIAMOND, grows=("b",))
    assert walked(tmp_path / "world") == list("abcde")
    return tmp_path / "world"


def descendants(name: str) -> list[str]:
    return {"a": list("abcd"), "b": list("bd"), "c": list("cd"), "d": ["d"], "e": ["e"]}[name]


EVENTS = st.tuples(st.sampled_from(["edit", "comment", "touch", "flip", "delete", "lose"]), st.sampled_from("abcde"))


@settings(max_examples=40, deadline=None)
@given(events=st.lists(EVENTS, min_size=1, max_size=3))
def test_whatever_happens_what_is_stale_is_made_and_nothing_else(
    events: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("walk") / "world"
    tiny_walk.build(folder, DIAMOND, grows=("b", "c"))
    walked(folder)
    expected: set[str] = set()
    for number, (what, name) in enumerate(events):
        out = folder / "out" / name
        match what:
            case "edit":
                edit(folder, name, f"{name} {number + 1}")
                expected |= set(descendants(name))
            case "comment":
                text = tiny_walk.source(folder, name)
                edit(folder, name, text)
            case "touch" if (out / "a.txt").exists():
                os.utime(out / "a.txt")
            case "flip" if (out / "a.txt").exists():
                if name not in expected and name not in {other for kind, other in events[:number] if kind == "flip"}:
                    flip(out / "a.txt")
                    expected.add(name)
            case "delete":
                shutil.rmtree(out, ignore_errors=True)
                expected.add(name)
            case "lose":
                (out / "b.txt").unlink(missing_ok=True)
                expected.add(name)
    assert walked(folder) == sorted(expected)
    assert right(folder) and walked(folder) == []


def test_the_plan_says_why(world: Path) -> None:
    edit(world, "b", "b 1")
    flip(world / "out" / "e" / "a.txt")
    reasons = {stage.name: reason for stage, reason in plan(tiny_walk.stages(world))}
    assert reasons["a"] == reasons["c"] == ""
    assert reasons["b"] == "changed: source of b" and reasons["d"] == "after b"
    assert reasons["e"] == "damaged or gone: a.txt"


def test_what_is_damaged_is_named_and_a_grown_folder_keeps_it(world: Path) -> None:
    for name in ("a", "b"):
        flip(world / "out" / name / "a.txt")
    (world / "out" / "a" / "other.txt").write_text("of nobody")
    (world / "out" / "b" / "checkpoint").write_text("hours of work")
    told: list[str] = []
    assert walked(world, say=told) == ["a", "b"]
    assert any("out/a/a.txt is not as it was written: the folder is made anew" in line for line in told)
    assert any("out/b/a.txt is not as it was written" in line for line in told)
    assert not (world / "out" / "a" / "other.txt").exists()
    assert (world / "out" / "b" / "checkpoint").exists() and (world / "out" / "b" / "a.txt.damaged").exists()


def test_a_touched_file_is_read_once(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.utime(world / "out" / "a" / "a.txt", ns=(1, 1))
    capsys.readouterr()
    assert walked(world) == [] and "reading a.txt" in capsys.readouterr().err
    assert walked(world) == [] and capsys.readouterr().err == ""


def test_a_broken_manifest_is_none(world: Path) -> None:
    (world / "out" / "d" / manifest.NAME).write_text("{")
    assert walked(world) == ["d"]


def test_what_was_made_by_hand_is_known(world: Path) -> None:
    edit(world, "c", "c 1")
    tiny_walk.make(world, "c")
    assert log(world) == ["c"] and walked(world) == ["d"]


def test_another_graph_forgets_nothing(world: Path) -> None:
    shutil.copy(world / "world.json", world / "kept.json")
    more = {**DIAMOND, "f": ["d"]}
    edit(world, "f", "f 0")
    (world / "world.json").write_text(f'{{"needs": {more}, "grows": []}}'.replace("'", '"'))
    assert walked(world) == ["f"]
    shutil.copy(world / "kept.json", world / "world.json")
    assert walked(world) == []


def test_an_edit_in_the_middle_is_seen_and_told(world: Path) -> None:
    edit(world, "b", "b 1")
    told: list[str] = []

    def meddle(stage: Stage) -> None:
        if stage.name == "d" and tiny_walk.source(world, "a") == "a 0":
            edit(world, "a", "a 1")

    assert walked(world, meddle, told) == ["b", "d", "a", "b", "c", "d"] and right(world)
    assert any(line.startswith("b once more: changed: read (a) while") for line in told)


def test_an_edit_while_a_stage_runs_is_not_lost(world: Path) -> None:
    """The stage may have read the old source or the new one: it is asked again."""
    edit(world, "a", "a 1")

    def meddle(stage: Stage) -> None:
        if stage.name == "a" and tiny_walk.source(world, "a") == "a 1":
            edit(world, "a", "a 2")

    assert walked(world, meddle) == ["a", "a", "b", "c", "d"] and right(world)


def test_stages_that_undo_each_others_work_are_stopped(world: Path) -> None:
    edit(world, "a", "a 1")

    def meddle(stage: Stage) -> None:
        if other := {"a": "e", "e": "a"}.get(stage.name):
            flip(world / "out" / other / "a.txt")

    with pytest.raises(RecipeError, match="a has run, and is not up to date: damaged or gone"):
        walked(world, meddle)


def test_a_command_that_finishes_nothing_is_an_error(world: Path) -> None:
    edit(world, "e", "e 1")
    shutil.rmtree(world / "out" / "e")
    with pytest.raises(RecipeError, match="e has run, and is not up to date: never run"):
        walk(lambda: tiny_walk.stages(world), lambda stage, title: None, print)


def test_a_models_shard_is_known_by_the_sums_of_its_pieces(tmp_path: Path) -> None:
    base, adapter = write_model(tmp_path / "base", 2), write_adapter(tmp_path / "adapter")
    job = MergeJob(str(base), [str(tmp_path / "merged")], [str(adapter)], [[0.5]], device="cpu")
    stage = Stage("merge", ("merge",), (tmp_path / "merged",), steps=lambda: merge_steps(job))
    runs = []

    def run(stage: Stage, title: str) -> None:
        runs.append(title)
        produce(job, lambda *told: None)

    def again() -> int:
        return walk(lambda: [stage], run, print)

    assert again() == 1 and again() == 0
    shard = tmp_path / "merged" / "model-00001-of-00002.safetensors"
    good = shard.read_bytes()
    os.utime(shard, ns=(1, 1))
    assert again() == 0
    flip(shard)
    assert again() == 1 and shard.read_bytes() == good
    assert "damaged or gone: model-00001-of-00002.safetensors" in runs[-1]


# --- real processes -------------------------------------------------------------------------------------------------


def start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.recipe.tiny_walk", str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(folder: Path, line: str) -> None:
    for _ in range(600):
        if (folder / "log").exists() and line in (folder / "log").read_text().splitlines():
            return
        time.sleep(0.05)
    raise AssertionError(f"{line!r} did not come")


def free(folder: Path) -> bool:
    """Whether the last holder of the lock is gone: the walk or, if that was killed, its child."""
    from spine.lock import locked

    try:
        with locked(folder):
            return True
    except RecipeError:
        return False


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A world of which the first stage is done and the second sleeps."""
    tiny_walk.build(tmp_path / "world", {"a": [], "b": ["a"]})
    edit(tmp_path / "world", "b", "b! sleep 60")
    tiny_walk.make(tmp_path / "world", "a")
    log(tmp_path / "world")
    return tmp_path / "world"


def test_killed_it_goes_on_where_it_was(slow: Path) -> None:
    walker = start(slow)
    wait_for(slow, "begin b")
    walker.kill()
    walker.wait()
    for _ in range(200):
        if free(slow):
            break
        time.sleep(0.05)
    assert free(slow)  # the child ended with it
    assert log(slow) == []
    edit(slow, "b", "b")
    assert start(slow).wait() == 0 and log(slow) == ["b"] and right(slow)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopped_the_child_is_asked_to_stop_too(slow: Path, how: signal.Signals) -> None:
    walker = start(slow)
    wait_for(slow, "begin b")
    walker.send_signal(how)
    assert walker.wait() == 130 and free(slow)
    assert log(slow) == ["stopped b"]


def test_a_second_walk_is_refused_with_the_firsts_pid(slow: Path) -> None:
    walker = start(slow)
    wait_for(slow, "begin b")
    second = start(slow)
    told, _ = second.communicate()
    assert second.returncode != 0 and f"another run (pid {walker.pid}) is at work in this folder" in told
    walker.send_signal(signal.SIGINT)
    walker.wait()


def test_a_step_that_fails_is_named_and_gone_on_with(slow: Path) -> None:
    edit(slow, "b", "b! fail")
    walker = start(slow)
    told, _ = walker.communicate()
    assert walker.returncode == 1 and "the step failed (code 3)" in told and "the same command goes on" in told
    assert log(slow) == []
    edit(slow, "b", "b")
    assert start(slow).wait() == 0 and log(slow) == ["b"]
