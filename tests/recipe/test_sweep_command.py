"""`recipe sweep`: what it leaves, and what it does not ask twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inference.answering.answer import PREDICTIONS
from inference.evaluate import WORST, Evaluation
from inference.scoring.scores import SCORES
from inference.scoring.sweep import best_weights, within
from recipe.commands.sweep import _borrow
from recipe.steps.result_names import results_folder

FILES = (PREDICTIONS, SCORES, WORST)


def weight_0(runs: Path, blend: str, model: str = "base") -> Evaluation:
    """The evaluation of weight 0 in a blend's sweep."""
    folder = runs / "cpu" / blend / "eval" / "adapter-0@validation"
    return Evaluation(
        label="base", model=model, folder=str(folder), questions="q", inputs={"answers": {"model": model}}
    )


def finished(evaluation: Evaluation) -> None:
    folder = Path(evaluation.folder)
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_text(f"{name} of {folder.parent.parent.name}")
    evaluation.step.finish(list(FILES))


def test_weight_0_is_the_base_and_is_asked_once_for_all_blends(tmp_path: Path) -> None:
    asked, other = weight_0(tmp_path, "v8"), weight_0(tmp_path, "v7")
    finished(asked)
    Path(other.folder).mkdir(parents=True)
    _borrow(other, tmp_path / "cpu")
    assert other.step.is_done() and (Path(other.folder) / SCORES).read_text() == f"{SCORES} of v8"


@pytest.mark.parametrize("damage", ["another base", "a byte", "unfinished"])
def test_only_the_same_answers_are_taken(tmp_path: Path, damage: str) -> None:
    asked, other = weight_0(tmp_path, "v8"), weight_0(tmp_path, "v7", "another" if damage == "another base" else "base")
    finished(asked)
    if damage == "a byte":
        (Path(asked.folder) / SCORES).write_text(f"{SCORES} of v9")
    if damage == "unfinished":
        (Path(asked.folder) / "manifest.json").unlink()
    _borrow(other, tmp_path / "cpu")
    assert not other.step.is_done() and not Path(other.folder).exists()


def scored(score: float, low: float, high: float) -> dict[str, Any]:
    part = {"score": score, "low": low, "high": high, "constant": 0.1}
    return {"tracks": {"1": part}, "overall": part, "tasks": [], "facts": {"questions": 1}, "model": "m", "path": ""}


def test_a_weight_that_chance_may_have_chosen_is_told_as_such() -> None:
    clear = {0.0: scored(0.2, 0.1, 0.3), 0.5: scored(0.9, 0.8, 1.0), 1.0: scored(0.85, 0.7, 0.9)}
    for track, best, part in best_weights(clear):
        assert (best, within(clear, track, best, part)) == (0.5, [1.0])
    (_, best, part), _ = best_weights(one := {0.0: scored(0.0, 0.0, 1.0), 1.0: scored(1.0, 0.0, 1.0)})
    assert (best, within(one, "1", best, part)) == (1.0, [0.0])


def test_results_are_called_after_the_model_its_questions_and_how_they_were_asked(tmp_path: Path) -> None:
    run, test = tmp_path / "v8", tmp_path / "questions" / "test.parquet"
    assert results_folder(run, "awq-0.5", test) == run / "eval" / "awq-0.5@test"
    assert results_folder(run, "base", run / "data" / "val.parquet") == run / "eval" / "base"
    told = results_folder(run, "base", test, mode="winners", limit=2, tasks=["task1"], tracks=[1, 3], contest=True)
    assert told.name == "base@test,winners,limit=2,task1,track1,track3,contest"
