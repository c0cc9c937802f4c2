"""Whether a small trial foretells a larger one: ranks as they should be, and what the command says of two scales."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe.trials.power import RECORD
from recipe.trials.proxy import _spearman, foretold
from recipe.trials.trial import Trial, TrialRequest
from spine.errors import RecipeError
from tests.recipe.test_trial import done, on_ground, typed

EFFECTS = st.lists(st.integers(-9, 9), min_size=4, max_size=12, unique=True)
__all__ = ["on_ground"]


@given(EFFECTS, st.randoms())
def test_the_rank_correlation_is_spearmans(one: list[int], random: object) -> None:
    """Without ties it is 1 - 6 sum d^2 / (n (n^2 - 1)); only the order counts."""
    other = list(one)
    random.shuffle(other)  # type: ignore[attr-defined]
    ranks = [sorted(values).index for values in (one, other)]
    squares = sum((ranks[0](a) - ranks[1](b)) ** 2 for a, b in zip(one, other, strict=True))
    count = len(one)
    expected = 1 - 6 * squares / (count * (count**2 - 1))
    assert _spearman(np.array([one, other], float)) == pytest.approx(expected)
    assert _spearman(np.array([one, [np.exp(a / 3) for a in one]])) == pytest.approx(1)
    assert _spearman(np.array([one, [-a for a in one]], float)) == pytest.approx(-1)


def test_equal_effects_share_their_rank() -> None:
    assert _spearman(np.array([[1, 2, 2, 3], [1, 2, 3, 4]], float)) == pytest.approx(0.9486833)
    assert np.isnan(_spearman(np.array([[1, 1, 1], [1, 2, 3]], float)))


def written(folder: Path, effects: dict[str, float]) -> Path:
    folder.mkdir()
    tasks = [{"name": name, "difference": effect} for name, effect in effects.items()]
    overall = {"name": "overall", "difference": mean(effects.values())}
    beside = {"b": {"tasks": tasks, "types": [], "tracks": [], "overall": overall}}
    (folder / RECORD).write_text(json.dumps({"beside_first": beside}))
    return folder


def test_effects_are_matched_by_blend_and_task(tmp_path: Path) -> None:
    small = written(tmp_path / "small", {"x": 0.1, "y": -0.2, "z": 0.3, "w": 0.0, "only here": 1.0})
    large = written(tmp_path / "large", {"w": 0.1, "z": 0.9, "y": -0.1, "x": 0.2})
    tasks, overall = foretold(small, large)
    assert (tasks.level, tasks.effects, tasks.same_sign) == ("tasks", 4, 3)
    assert tasks.rho == pytest.approx(1) and tasks.low <= tasks.high <= 1
    assert (overall.level, overall.effects, overall.rho) == ("overall", 1, None)


def test_what_was_not_tried_foretells_nothing(tmp_path: Path) -> None:
    small = written(tmp_path / "small", {"x": 0.1})
    with pytest.raises(RecipeError, match="no trial that was finished"):
        foretold(small, tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / RECORD).write_text(json.dumps({"beside_first": {}}))
    with pytest.raises(RecipeError, match="no blend of it was tried here"):
        foretold(small, other)


def test_the_command_tells_it_beside_the_trial(on_ground: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipe.commands.trial._run", lambda wanted, given: Trial(wanted))  # all is there
    skills = {"v8": 0.3, "v8-ours": 0.7}
    real = Trial(TrialRequest(("v8", "v8-ours"), "cpu"))
    done(real, skills)
    done(Trial(TrialRequest(("v8", "v8-ours"), "cpu-fast")), skills)
    large = written(real.wanted.folder, {"x": 0.1})
    refused = typed("v8", "v8-ours", "--check-proxy", str(large))
    assert "no blend of it was tried here" in str(refused.exception)
    content = (on_ground / "cpu-fast" / real.wanted.folder.name / RECORD).read_text()
    (large / RECORD).write_text(content)
    shown = typed("v8", "v8-ours", "--check-proxy", str(large))
    assert shown.exit_code == 0, shown.output
    assert "as a proxy of" in shown.output and "+1.00" in shown.output
