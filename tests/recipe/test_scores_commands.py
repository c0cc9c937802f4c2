"""`recipe table`, and what `recipe eval` and `recipe sweep` refuse before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.scoring.sweep import best_weights
from inference.scoring.tables import read_scores
from recipe.commands.eval import command as eval_command
from recipe.commands.eval import show_scores
from recipe.commands.table import command as table_command
from spine.errors import RecipeError


def scores(folder: Path, model: str, track1: float, overall: float) -> Path:
    def row(score: float | None, **more: Any) -> dict[str, Any]:
        known = score is not None
        return {"score": score, "low": 0.0 if known else None, "high": 1.0 if known else None, "questions": 4,
                "constant": 0.25 if known else None, **more}  # fmt: skip

    tasks = [
        row(track1, name="task2", metric="accuracy", track=1, not_computed=None),
        row(None, name="task1", metric="multilingual-sent-transformer", track=1, not_computed="no model here"),
    ]
    content = {
        "model": model, "tasks": tasks, "tracks": {"1": row(track1, left_out=["task1"])},
        "overall": row(overall, left_out=["task1"]), "not_computed": {"multilingual-sent-transformer": "no model here"},
        "facts": {"questions": 8, "prompts_shortened": 2, "seen_as_another_type": 0},
    }  # fmt: skip
    folder.mkdir()
    (folder / "scores.json").write_text(json.dumps(content))
    return folder


def test_models_stand_side_by_side_with_the_constant_answer(tmp_path: Path) -> None:
    found = CliRunner().invoke(table_command, [str(scores(tmp_path / "a", "small", 0.5, 0.4)),
                                               str(scores(tmp_path / "b", "large", 0.75, 0.7))])  # fmt: skip
    assert found.exit_code == 0
    lines = [line.split() for line in found.output.splitlines()]
    assert ["small", "8", "0.500", "[0.00,", "1.00]", "-", "-", "-", "0.400", "[0.00,", "1.00]"] in lines
    assert ["the", "constant", "answer", "8", "0.250", "-", "-", "-", "0.250"] in lines
    assert "multilingual-sent-transformer is not computed, task1 left out: no model here" in found.output
    assert "2 prompts were too long" in found.output
    by_task = CliRunner().invoke(table_command, [str(tmp_path / "a"), str(tmp_path / "b"), "--tasks"])
    assert "task2" in by_task.output and "0.750" in by_task.output


def test_seconds_stand_beside_the_limits_of_the_contest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = scores(tmp_path / "a", "small", 0.5, 0.4)
    spread = {"median": 1.25, "p95": 2.5, "slowest": 200.0}
    track = {"questions": 40, "minutes": 71.5, "limit_minutes": 70, "fits": False, "room_for_questions": 39}
    contest = {
        "batch_size": 16, "batches": 3, "seconds_a_batch": spread, "limit_seconds_a_question": 10.0,
        "seconds_a_question": spread, "questions_over_the_limit": 16, "tracks": {"1": track},
    }  # fmt: skip
    content = json.loads((folder / "scores.json").read_text())
    (folder / "scores.json").write_text(json.dumps({**content, "contest": contest}))
    show_scores(folder)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "a batch of at most 16 1.25 2.50 200.00 160" in lines and "a question 1.25 2.50 200.00 10 16" in lines
    assert "1 40 71.5 70 39 too slow" in lines


@pytest.mark.parametrize("content", [None, "{", "[]", '{"tasks": []}'])
def test_a_file_that_is_no_scores_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "scores.json").write_text(content)
    with pytest.raises(RecipeError, match=r"is no scores\.json"):
        read_scores(tmp_path)


@given(st.integers(0, 10**6), st.integers(1, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_scores_with_a_flipped_byte_are_shown_or_named(tmp_path: Path, place: int, bits: int) -> None:
    folder = tmp_path / "a"
    path = folder / "scores.json" if folder.is_dir() else scores(folder, "small", 0.5, 0.4) / "scores.json"
    whole = path.read_bytes()
    content = bytearray(whole)
    content[place % len(content)] ^= bits
    path.write_bytes(content)
    found = CliRunner().invoke(table_command, [str(folder), "--tasks"])
    path.write_bytes(whole)
    assert found.exception is None or isinstance(found.exception, RecipeError | SystemExit), content


def test_a_sweep_prefers_the_smaller_of_equal_weights(tmp_path: Path) -> None:
    found = {
        alpha: read_scores(scores(tmp_path / f"{alpha}", "m", track1, overall))
        for alpha, track1, overall in [(1.0, 0.5, 0.3), (0.0, 0.4, 0.2), (0.5, 0.5, 0.4)]
    }
    assert [(track, alpha) for track, alpha, _ in best_weights(found)] == [("1", 0.5), ("overall", 0.5)]


def test_eval_wants_a_blend_or_a_model_and_questions() -> None:
    found = CliRunner().invoke(eval_command, ["--model", "somewhere"])
    assert found.exit_code == 2 and "--model and --questions" in found.output
