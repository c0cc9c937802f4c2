"""recipe.sh, the whole recipe on a page: its commands are those that `recipe reproduce` plans, and it runs them.

The script is really executed, with a `recipe` and a `make` that write down what they are called with. That these very
commands work is tests/test_reproduce.py's affair.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from recipe.report.collect import whole_walk
from recipe.walk.request import WalkRequest
from recipe.walk.stages import Stages
from spine.paths import ROOT

A_PAGE = 66  # lines
GROUND = {"recipe model", "recipe sample-data"}  # which `recipe questions` sees to
_CALLED = '#!/bin/sh\n{ printf "%s" "${0##*/}"; printf " %s" "$@"; echo; } >> "$CALLS"\n'


def called(folder: Path, profile: str) -> list[str]:
    """What the script calls in a copy of the checkout that holds nothing but it."""
    shutil.copy(ROOT / "recipe.sh", folder)
    tools = folder / ".venvs" / "core" / "bin"
    tools.mkdir(parents=True)
    for name in ("recipe", "make"):
        (tools / name).write_text(_CALLED)
        (tools / name).chmod(0o755)
    environment = {**os.environ, "CALLS": str(folder / "calls"), "PROFILE": profile, "RECIPE_RUNS": ""}
    environment["PATH"] = os.pathsep.join([str(tools), os.environ["PATH"]])
    subprocess.run(["./recipe.sh"], cwd=folder, env=environment, check=True)
    make, *lines = (folder / "calls").read_text().splitlines()
    assert make == "make env-core env-train env-quantize env-serve"
    return lines


def planned(profile: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """Name, command and needs of every stage, as they are typed with PROFILE in the environment."""
    found = []
    for stage in whole_walk(Stages(WalkRequest(profile))):
        line = shlex.join(stage.command).replace(f"{ROOT}/", "").replace(f" -p {profile}", "")
        found.append((stage.name, line, stage.needs))
    return found


def words(line: str) -> list[str]:
    """In any order: options may stand as they read best."""
    return sorted(line.split())


@pytest.mark.parametrize("profile", ["cpu", "8xa100"])
def test_the_script_is_the_plan(profile: str, tmp_path: Path) -> None:
    stages = [stage for stage in planned(profile) if stage[1] not in GROUND]
    for _, line, _ in stages:
        if "awq-padded-" in line:
            blend, folder = line.split()[2], next(word for word in line.split() if word.startswith("awq-padded-"))
            (tmp_path / "runs" / profile / blend / folder).mkdir(parents=True)
    lines = called(tmp_path, profile)
    assert sorted(map(words, lines)) == sorted(words(line) for _, line, _ in stages)
    place = {name: [words(each) for each in lines].index(words(line)) for name, line, _ in stages}
    for name, _, needs in stages:
        assert all(place[need] < place[name] for need in needs if need in place)


def test_it_is_a_page() -> None:
    assert len((ROOT / "recipe.sh").read_text().splitlines()) <= A_PAGE
