"""A graph of tiny stages to walk: ``python -m tests.recipe.tiny_walk FOLDER`` (or ``... FOLDER STAGE``, one of them).

A stage writes down its own source and what the stages it needs have written. Like the real commands it skips what is
done, and leaves a manifest. ``log`` tells what was made, in order.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path

from recipe.walk.graph import Stage, walk
from recipe.walk.run import run_command
from spine.errors import RecipeError
from spine.lock import locked
from spine.manifest import Step


def build(folder: Path, needs: dict[str, list[str]], grows: tuple[str, ...] = ()) -> None:
    """A world of stages by name, each with those it needs."""
    (folder / "source").mkdir(parents=True)
    for name in needs:
        (folder / "source" / name).write_text(f"# a comment\n{name} 0")
    (folder / "world.json").write_text(json.dumps({"needs": needs, "grows": grows}))


def source(folder: Path, name: str) -> str:
    """What counts of a stage's source: comments do not."""
    lines = (folder / "source" / name).read_text().splitlines()
    return "\n".join(line for line in lines if not line.startswith("#"))


def stages(folder: Path) -> list[Stage]:
    world = json.loads((folder / "world.json").read_text())
    return [
        Stage(
            name, (sys.executable, "-m", "tests.recipe.tiny_walk", str(folder), name), (folder / "out" / name,),
            tuple(needs), lambda name=name: [step_of(folder, name)], grows=name in world["grows"],
        )
        for name, needs in world["needs"].items()
    ]  # fmt: skip


def content(folder: Path, name: str) -> str:
    """What a stage ought to write, worked out from the sources alone."""
    needs = json.loads((folder / "world.json").read_text())["needs"]
    told = [source(folder, name), *(content(folder, need) for need in needs[name])]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def step_of(folder: Path, name: str) -> Step:
    """What the stage depends on now; those it needs are done."""
    needs = json.loads((folder / "world.json").read_text())["needs"][name]
    read = {need: (folder / "out" / need / "a.txt").read_text() for need in needs}
    return Step(folder / "out" / name, name, {f"source of {name}": source(folder, name), "read": read})


def make(folder: Path, name: str) -> None:
    """The command of a stage. What stands in its source behind a "!" is done first: sleep, fail."""
    step = step_of(folder, name)
    if step.is_done():
        return
    told = "\n".join([step.inputs[f"source of {name}"], *step.inputs["read"].values()])
    log(folder, f"begin {name}")
    try:
        _misbehave(source(folder, name))
    except KeyboardInterrupt:
        log(folder, f"stopped {name}")
        sys.exit(130)
    step.folder.mkdir(parents=True, exist_ok=True)
    (step.folder / "a.txt").write_text(hashlib.sha256(told.encode()).hexdigest())
    (step.folder / "b.txt").write_text(name)
    step.finish(["a.txt", "b.txt"])
    log(folder, name)


def _misbehave(text: str) -> None:
    what = text.partition("!")[2].split()
    if what[:1] == ["sleep"]:
        time.sleep(float(what[1]))
    if what[:1] == ["fail"]:
        sys.exit(3)


def log(folder: Path, line: str) -> None:
    with (folder / "log").open("a") as file:
        file.write(line + "\n")


def walk_here(folder: Path) -> int:
    """In this process, each stage in one of its own."""
    with locked(folder) as lock:
        environment = dict(os.environ)
        return walk(lambda: stages(folder), lambda stage, title: run_command(stage.command, lock, environment), print)


if __name__ == "__main__":
    try:
        make(Path(sys.argv[1]), sys.argv[2]) if sys.argv[2:] else walk_here(Path(sys.argv[1]))
    except RecipeError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
