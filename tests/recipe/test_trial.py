"""``recipe trial``: what it would run, what it refuses and says beforehand, and what it makes of the answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from inference.answering.questions import read_questions
from inference.scoring.draws import detectable
from recipe.commands import root
from recipe.trials.power import ASSUMED, Asked, Spread, expected, groups, known_spread, measured_spread, more_needed
from recipe.trials.trial import Trial, TrialRequest
from spine.errors import RecipeError
from spine.manifest import Step
from tests.recipe.made_up import TASKS, World, _answer, rows, taken_as_done

OF_EACH = 40
STATS = {"totals": {"kept": 60, "held_out": 60, "tokens": 9_000, "trained_tokens": 300, "dropped": {}, "made": 0},
         "lengths": {"edges": [0, 100, 300], "rows": [40, 20]}}  # fmt: skip


def trial(*blends: str, **more: Any) -> Trial:
    return Trial(TrialRequest(blends, "cpu-fast", **more))


def typed(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["trial", *arguments, "-p", "cpu-fast"], env={"COLUMNS": "300"})


def done(found: Trial, skills: Mapping[str, float], of_each: int = OF_EACH) -> None:
    """Everything that the trial would run, made up. ``skills``: chance of a right answer by blend."""
    file = found.questions
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows(of_each)), file)
    counted, tracks = dict.fromkeys(TASKS, of_each), {name: track for name, (_, track) in TASKS.items()}
    Step(file.parent, "questions", {}).finish([file.name], datasets={"test": counted}, tracks=tracks)
    asked = read_questions(file)
    for arms in found.arms:
        for at, arm in enumerate(arms):
            for folder in (arm.resolved.run.data, arm.resolved.run.train):
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "stats.json").write_text(json.dumps(STATS))
                Step(folder, "made up", {}).finish(["stats.json"])
            skill = skills[arm.resolved.blend.name] + 0.01 * at
            World.evaluated(
                Step(found.evaluation(arm), "eval", {"answers": {}}),
                arm.name,
                asked,
                [_answer(q, skill) for q in asked],
            )


def test_all_are_trained_alike_and_asked_the_same(runs_folder: Path) -> None:
    found = trial("v8", "v8-ours", seeds=2)
    stages = {stage.name: stage for stage in found.all()}
    assert [name for name in stages if name.startswith("train")] == [
        "train v8", "train v8-ours", "train v8+seed=43", "train v8-ours+seed=43",
    ]  # fmt: skip
    evaluations = [stage.command for stage in stages.values() if stage.kind == "eval"]
    assert {command[-1] for command in evaluations} == {
        f"{runs_folder}/cpu-fast/questions@v8-ours/v8-ours-test.parquet"
    }
    assert {command[command.index("--alpha") + 1] for command in evaluations} == {"0.5625"}
    assert stages["train v8"].outputs == (runs_folder / "cpu-fast" / "v8" / "train",)  # a run that may be there already
    assert {arm.resolved.seed for arms in found.arms for arm in arms} == {42, 43}
    seen: set[str] = set()
    for stage in stages.values():
        assert set(stage.needs) <= seen
        seen.add(stage.name)


def test_the_budget_is_that_of_the_smallest(configs: Path, runs_folder: Path) -> None:
    (configs / "blends" / "small.yaml").write_text("datasets: {liked_titles: {rows: 30}, co_purchase: {rows: 20}}\n")
    found = trial("v8", "small")
    assert {sum(part.rows for part in arms[0].resolved.portions) for arms in found.arms} == {50}
    assert [arms[0].name for arms in found.arms] == ["v8+rows=50", "small"]
    assert trial("v8", "small", overrides="rows=45").arms[0][0].name == "v8+rows=45"
    assert trial("v8", "small", overrides="lora_r=32 rows=55 seed=7").arms[0][0].name == "v8+lora_r=32,rows=50,seed=7"


def test_what_cannot_be_compared_is_refused(runs_folder: Path, configs: Path) -> None:
    for blends in (("v8",), ("v8", "v8"), ()):
        with pytest.raises(RecipeError, match="two blends or more"):
            trial(*blends)
    with pytest.raises(RecipeError, match="v9b is a second round") as caught:
        trial("v8", "v9b")
    assert "recipe compare" in str(caught.value) and "v9b.yaml:" in str(caught.value)
    with pytest.raises(RecipeError, match="no blend 'v88'"):
        trial("v8", "v88")


def test_settings_that_differ_and_tracks_without_questions_are_said(
    configs: Path, runs_folder: Path, tmp_path: Path
) -> None:
    (configs / "blends" / "fast.yaml").write_text("include: v8\naxolotl: {learning_rate: 0.01}\n")
    (told, one_seed) = trial("v8", "fast").beware()
    assert "differ in settings too, not in data alone: learning_rate 0.001 and 0.01" in told and "one seed" in one_seed
    pq.write_table(pa.Table.from_pylist([row for row in rows(3) if row["track"] != 2]), tmp_path / "some.parquet")
    assert "no questions of track 2" in trial("v8", "v8-ours", seeds=2, questions=tmp_path / "some.parquet").beware()[0]
    assert trial("v8", "v8-ours", seeds=2).beware() == []


def test_the_plan_has_its_price_and_what_it_could_show(runs_folder: Path) -> None:
    shown = typed("v8", "v8-ours", "--seeds", "3", "-n")
    assert shown.exit_code == 0, shown.output
    assert (
        "price     6 trainings" in shown.output
        and "0.45 a question, 0.020 from training to training: assumed" in shown.output
    )
    assert "a difference of 0.02 overall would most likely not be shown" in shown.output
    assert not list(runs_folder.glob("*/*/train"))


@pytest.fixture
def on_ground(runs_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The base model and the raw files are there."""
    monkeypatch.setattr("recipe.walk.parts.ground", lambda profile, raw: [])
    return runs_folder


def test_what_was_made_with_other_code_is_said_and_done_again(on_ground: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done(trial("v8", "v8-ours"), {"v8": 0.4, "v8-ours": 0.4})
    taken_as_done(monkeypatch, train_v8="changed: code (axolotl_configs/plugin.py)")
    shown = typed("v8", "v8-ours", "-n")
    assert "done again: train v8 (changed: code (axolotl_configs/plugin.py))" in shown.output
    assert "after train v8" in shown.output and "price     1 trainings" in shown.output


def test_a_planted_effect_is_told_and_kept(on_ground: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blends = ("v8", "v8-ours", "v7")
    found = trial(*blends, seeds=3)
    done(found, {"v8": 0.3, "v8-ours": 0.7, "v7": 0.3})
    taken_as_done(monkeypatch)
    shown = typed(*blends, "--seeds", "3")
    assert shown.exit_code == 0, shown.output + str(shown.exception)
    assert "overall: v8-ours answers better than v8" in shown.output
    assert "overall: the data show no difference between v8 and v7" in shown.output
    record = json.loads((found.wanted.folder / "trial.json").read_text())
    row = record["beside_first"]["v8-ours"]["overall"]
    assert row["low"] > 0.2 and row["seed_error"] is not None and record["seeds"] == 3
    assert {path.name for path in found.wanted.folder.glob("*.png")} == {"v8-ours.png", "v7.png"}
    spread = known_spread(on_ground / "cpu-fast")
    assert spread.source == f"measured, {found.wanted.folder.name}" and 0.3 < spread.question < 0.7
    assert "measured, trial@v8_v8-ours_v7" in typed(*blends, "--seeds", "3", "-n").output


def test_what_is_expected_is_what_is_detectable() -> None:
    tasks = [Asked(1, "ranking", 100), Asked(1, "ranking", 100), Asked(2, "retrieval", 50)]
    errors = groups(tasks)
    assert errors["track 1"] == pytest.approx((2 / 100) ** 0.5 / 2) == errors["ranking"]
    assert errors["overall"] == pytest.approx((errors["track 1"] ** 2 + 1 / 50) ** 0.5 / 2)
    found = expected(tasks, 3, Spread(0.5, 0.03, ""))
    assert found["track 2"] == pytest.approx(detectable(0.5 / 50**0.5, 0.03 / 3**0.5, 3))
    assert (
        expected(tasks, 1, ASSUMED)["overall"] < expected(tasks, 2, ASSUMED)["overall"]
    )  # what is not asked is not known


def test_what_would_show_more() -> None:
    tasks = [Asked(1, "ranking", 100), Asked(2, "retrieval", 100)]
    shown = groups(tasks)["overall"] * 0.5 * 2.8
    assert "would have been shown" in more_needed(Spread(0.5, None, ""), tasks, 1, 1.01 * shown)
    assert more_needed(Spread(0.5, None, ""), tasks, 1, 0.72 * shown).endswith(
        f"to show {0.72 * shown:g}: 2 times as many questions"
    )
    seeds = more_needed(Spread(0.1, 0.1, ""), tasks, 3, 0.1)
    assert seeds.endswith(": 10 seeds"), seeds  # no number of questions mends what trainings differ by
    assert "more of both" in more_needed(Spread(0.5, 0.5, ""), tasks, 3, 0.001)


def test_one_question_of_each_task_is_no_measure(runs_folder: Path) -> None:
    single = [Asked(1, "ranking", 1), Asked(2, "retrieval", 1)]
    assert measured_spread([], single, 1) is None and groups(single, drawn=True)["overall"] == 0
    assert "tells nothing" in more_needed(None, single, 1, 0.1)


@pytest.mark.parametrize("name", ["../x", "a/b", "-x", "x" * 81])
def test_questions_have_a_name_that_is_no_path(name: str) -> None:
    refused = CliRunner().invoke(root, ["questions", "v8", "-p", "cpu-fast", f"--name={name}"])
    assert refused.exit_code == 2 and "80 at most" in refused.output
