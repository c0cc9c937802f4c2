"""What a stage will take: measured here, as others of its kind, as the profile says, as `recipe plan` works it out."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from recipe.commands import root
from recipe.walk.estimates import Estimate, estimates, total
from recipe.walk.graph import Stage
from recipe.walk.request import WalkRequest
from recipe.walk.run import _require_room, environment_of
from recipe.walk.stages import Stages
from spine.errors import RecipeError
from spine.manifest import NAME, Step


def finished(folder: Path, seconds: float, size: int, memory: int) -> None:
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(b"x" * size)
    step = Step(folder, "step", {})
    step.finish(["file"])
    known = json.loads((folder / NAME).read_text())
    (folder / NAME).write_text(json.dumps(known | {"wall_seconds": seconds, "peak_memory_mib": memory}))


def test_measured_wins_then_others_of_the_kind_then_the_profile(tmp_path: Path) -> None:
    finished(tmp_path / "a", seconds=30, size=100, memory=7)
    finished(tmp_path / "b", seconds=10, size=50, memory=9)
    graph = [
        Stage("eval one", (), (tmp_path / "a", tmp_path / "b"), work=20),
        Stage("eval two", (), (tmp_path / "c",), work=5),
        Stage("merge one", (), (tmp_path / "d",)),
        Stage("pack one", (), (tmp_path / "e",)),
    ]
    found = estimates(graph, {}, {"merge": 3.0, "eval": 99.0})
    assert found["eval one"] == Estimate(30, 150, 9 * 2**20)  # the longer one holds the other
    assert found["eval two"] == Estimate(7.5, 37.5, 9 * 2**20)
    assert found["merge one"] == Estimate(3.0, None, None) and found["pack one"] == Estimate()
    assert total(found.values()) == Estimate(40.5, 187.5, 9 * 2**20)


def test_the_72b_is_worked_out(runs_folder: Path) -> None:
    stages = Stages(WalkRequest("8xa100"))
    found = estimates(stages.all(), stages.blends, {})
    hours = (found["train v8"].seconds or 0) / 3600
    assert hours == pytest.approx(6.9, rel=0.01)  # what `recipe plan v8 -p 8xa100` says
    assert (found["merge v9b"].disk or 0) == pytest.approx(2 * 145e9, rel=0.01)  # two weights of 145 GB
    assert found["awq v9b 0.25"].scratch > 0 and found["train v8"].scratch == 0
    assert found["eval base"] == Estimate()


def test_a_stage_without_room_is_refused_before_it_starts(tmp_path: Path) -> None:
    stage = Stage("merge v8", ("recipe", "merge", "v8"), (tmp_path / "merged",))
    with pytest.raises(RecipeError, match=r"merge v8 needs about .* GiB, .* GiB are free"):
        _require_room(stage, Estimate(disk=1e18))
    with pytest.raises(RecipeError, match="merge v8 needs"):
        _require_room(stage, Estimate(disk=1.0, scratch=1e18))
    _require_room(stage, Estimate(disk=1.0))
    finished(tmp_path / "merged", 1, 1, 1)
    _require_room(stage, Estimate(disk=1e18))  # its command will say that it is done


def test_a_stage_is_told_what_is_printed_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIMIT", "MODE", "ALPHA", "PROFILE", "SET", "QUESTIONS", "HF_HOME"):
        monkeypatch.setenv(name, "x")
    with click.Context(root):
        assert not {"LIMIT", "MODE", "ALPHA", "PROFILE", "SET", "QUESTIONS"} & environment_of("eval").keys()
        assert "HF_HOME" in environment_of("eval") and "CALIBRATION" not in environment_of("awq")
