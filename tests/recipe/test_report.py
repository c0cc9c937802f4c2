"""``recipe report``: what it finds in the runs' folders, and what it says of it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from pydantic import TypeAdapter

from inference.scoring.compare import compare, matched
from inference.scoring.predictions import read_predictions
from recipe.commands.report import command
from recipe.report.collect import collect, report_step
from recipe.report.facts import DONE, NOT_RUN, OUTDATED, Facts
from recipe.report.page import page, table
from recipe.report.scores import interval
from recipe.report.subject import Subject, of_recipe, of_run
from recipe.walk.request import WalkRequest
from recipe.walk.stages import Stages
from spine import runs
from spine.errors import RecipeError
from spine.published import published_scores
from tests.conftest import copied_configs, edit
from tests.recipe.made_up import LARGE_KL, SMALL_KL, TASKS, World, rows, taken_as_done

WANTED = WalkRequest("cpu-fast", "rows=60")
TRACKS = """# recipe reproduce
round1: {track1: {blend: v8, alpha: 0.5625}, track2: {blend: v7, alpha: 1.0}, track5: {blend: v8, alpha: 0.5625}}
round2: {track1: {blend: v9b, alpha: 0.75}, track3: {blend: v9b, alpha: 0.25}, track5: {blend: v9b, alpha: 0.25}}
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """Everything that `recipe reproduce` does, made up; read only."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "RUNS", folder / "runs")
        taken_as_done(patch)
        configs = copied_configs(folder, patch)
        (configs / "tracks.yaml").write_text(TRACKS)
        edit(configs / "profiles" / "cpu-fast.yaml", "weights: [0, 1]", "weights: [0, 0.5, 1]")
        edit(configs / "profiles" / "cpu-fast.yaml", "without_rules: false", "without_rules: true")
        World(Stages(WANTED)).do("questions", "data", "train", "sweep", "merge", "awq", "eval")
        yield of_recipe(WANTED)


@pytest.fixture
def small(configs: Path, runs_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No runs yet, and one blend that answers everything."""
    taken_as_done(monkeypatch)
    (configs / "tracks.yaml").write_text("# recipe list\nround1: {track5: {blend: v8, alpha: 0.5}}\nround2: {}\n")
    return runs_folder


@pytest.fixture(scope="module")
def facts(whole: Subject) -> Facts:
    return collect(whole)


def folder(subject: Subject, row: str, track: int) -> Path:
    return next(line.folders[track] for line in subject.lines if line.name == row)


def test_the_table_is_that_of_the_slides(whole: Subject, facts: Facts) -> None:
    rows = {row.name: row for row in facts.rows}
    assert list(rows) == ["base", "round 1", "round 1, swept weights", "round 2", "round 2, swept weights",
                          "AWQ of round 2", "base, without rules", "round 1, without rules"]  # fmt: skip
    assert set(rows["round 1"].cells) == {"1", "2", "5"} and not rows["round 1"].waiting
    assert rows["round 1"].cells["2"].model == "v7, 1" and rows["round 1"].cells["5"].model == "v8, 0.5625"
    assert set(rows["AWQ of round 2"].cells) == {"3", "5"}  # what the profile exports
    for row, track in (("round 1", "2"), ("round 2", "5"), ("base", "1")):
        scores = json.loads((folder(whole, row, int(track)) / "scores.json").read_text())
        part = scores["overall"] if track == "5" else scores["tracks"][track]
        cell = rows[row].cells[track]
        assert (cell.score, cell.low, cell.high) == (part["score"], part["low"], part["high"])
        assert cell.constant == part["constant"]
    assert rows["round 2"].published["5"] == 0.788 and not rows["round 1, swept weights"].published


def test_what_a_step_brought_is_what_the_comparison_finds(whole: Subject, facts: Facts) -> None:
    first = facts.gains[0]
    sides = [read_predictions(folder(whole, row, 5) / "predictions.jsonl") for row in ("base", "round 1")]
    found = compare(matched(*sides))
    assert first.overall == found.overall and (first.a, first.b) == ("base", "round 1")
    by_task = {TASKS[row.name][0].value: row for row in found.tasks}  # one task of each type
    assert {row.name: row.difference for row in first.types} == {name: row.difference for name, row in by_task.items()}
    cell = next(row for row in facts.rows if row.name == "round 1").cells["5"]
    assert cell.beside_base == first.overall
    assert [(one.a, one.b) for one in facts.gains[1:]] == [
        ("round 1", "round 2"), ("round 2", "AWQ of round 2"), ("base, without rules", "round 1, without rules")
    ]  # fmt: skip
    assert re.match(r"Round 1 answers .* the base.*; overall \+0\.\d\d \[", facts.headline)
    assert facts.verdicts[1].startswith("The data show no difference between round 2 and AWQ of round 2; overall +0.00")
    assert facts.verdicts[2].startswith("Without decoding rules, round 1 answers better than the base")


def test_rows_without_rules_are_compared_with_the_base_without_rules(whole: Subject, facts: Facts) -> None:
    sides = [
        read_predictions(folder(whole, f"{row}, without rules", 5) / "predictions.jsonl") for row in ("base", "round 1")
    ]
    assert all(",free" in str(folder(whole, f"{row}, without rules", 5)) for row in ("base", "round 1"))
    cells = {row.name: row.cells["5"] for row in facts.rows}
    assert cells["round 1, without rules"].beside_base == compare(matched(*sides)).overall
    assert cells["base, without rules"].beside_base is None


def test_the_rest_of_what_was_done(facts: Facts) -> None:
    assert [one.name for one in facts.blends] == ["v8", "v9b", "v7"]  # each behind what it goes on from
    assert facts.blends[0].rows == 340 and "lora_r: 64" in facts.blends[0].yaml
    assert [one.held_out[-1] for one in facts.losses] == [(85, 1.2)] * 3 and len(facts.losses[0].training) == 85
    curve = next(one for one in facts.curves if (one.blend, one.track) == ("v8", "1"))
    assert curve.weights == [0, 0.5, 0.5625, 1] and curve.chosen == [0.5625] and curve.best == 1
    assert [(one.name, one.kl, one.kl_rounded) for one in facts.exports] == [("v9b, 0.25", SMALL_KL, LARGE_KL)]
    assert (facts.exports[0].nbytes, facts.exports[0].nbytes_before) == (1170, 2690)
    steps = {step.name: step for step in facts.steps}
    assert steps["train v8"].seconds == 68 and steps["train v8"].command == "recipe train v8 -p cpu-fast --set rows=60"
    assert facts.versions["torch"] == ["2.13.0+cpu"] and facts.again == "recipe reproduce -p cpu-fast --set rows=60"
    assert "every model: 72 questions were taken for another task type" in facts.notes


def test_examples_are_the_worst_and_the_best_of_every_task(facts: Facts) -> None:
    by_task = {task: [one for one in facts.examples if one.task == task] for task in TASKS}
    for found in by_task.values():
        last = [one.answers[-1].score for one in found]
        assert min(last) < max(last) == 1
        assert [answer.row for answer in found[0].answers][:2] == ["base", "round 1"]
    assert [one.answers[-1].score for one in facts.examples] == sorted(one.answers[-1].score for one in facts.examples)
    one = by_task["name_colour"][0]
    assert one.type == "named_entity_recognition" and one.truth == "hue" + re.findall(r"\d+", one.prompt)[0]


def test_the_numbers_come_back_from_json(facts: Facts) -> None:
    found = json.loads(json.dumps(facts.as_json()))
    assert found.pop("schema") == 1
    assert TypeAdapter(Facts).validate_python(found) == facts


def test_there_is_a_page_from_the_first_step_on(small: Path) -> None:
    wanted = WalkRequest("cpu-fast", "base_model=nobody/nothing", data=small.parent)
    with pytest.raises(RecipeError, match="nothing of it has been run yet"):
        collect(of_recipe(wanted))
    world = World(Stages(wanted), of_each=4)
    for kind in ("questions", "data", "train", "eval"):
        world.do(kind)
        found = collect(of_recipe(wanted))
        assert any(note.startswith("not run yet: ") for note in found.notes)
        assert ("scores" in found.empty) == (kind != "eval") == ("by track</h2>" not in page(found, {}))
    assert "the base" in found.headline and {step.state for step in found.steps if step.kind == "sweep"} == {NOT_RUN}


def test_tracks_without_a_model_for_everything(configs: Path, runs_folder: Path) -> None:
    (configs / "tracks.yaml").write_text("# recipe list\nround1: {track2: {blend: v8, alpha: 1.0}}\nround2: {}\n")
    World(Stages(WalkRequest("cpu-fast")), of_each=8).do("questions", "data", "train", "eval")
    found = collect(of_recipe(WalkRequest("cpu-fast")))
    assert [row.name for row in found.gains[0].types] == ["retrieval"] and found.gains[0].model_b == "v8, 1"
    assert found.rows[1].cells["2"].beside_base == replace(found.gains[0].types[0], name="track 2")


def test_what_changed_since_is_out_of_date_and_what_is_damaged_left_out(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = WalkRequest("cpu-fast")
    World(Stages(wanted), of_each=4).do("questions", "data", "train", "eval")
    before = report_step(of_recipe(wanted)).key
    taken_as_done(monkeypatch, train_v8="changed: axolotl (learning_rate)")
    subject = of_recipe(wanted)
    assert report_step(subject).key != before
    states = {step.name: step.state for step in subject.steps}
    assert states["train v8"] == states["eval v8 0.5"] == OUTDATED and states["data v8"] == states["eval base"] == DONE
    predictions = folder(subject, "base", 5) / "predictions.jsonl"
    predictions.write_text(predictions.read_text().replace('"score": 1.0', '"score": 0.0', 1))
    found = collect(of_recipe(wanted))
    assert any("predictions.jsonl is left out: it is not as it was written" in note for note in found.notes)
    assert "out of date (the flow tells why): eval base, train v8, eval v8 0.5" in found.notes
    assert not found.gains and "5" in found.rows[0].cells  # its scores are whole


def test_one_blend_alone(small: Path) -> None:
    stages = Stages(WalkRequest("cpu-fast"))
    world, run = World(stages, of_each=4), small / "cpu-fast" / "v8"
    world.do("questions", "data", "train")
    world.answer(run / "eval" / "adapter-0.5@test", "v8, 0.5", stages.test, "v8", 0.5)
    world.answer(run / "eval" / "base@test", "the base model", stages.test, "v8", 0.0)
    pq.write_table(pa.Table.from_pylist(rows(of_each=2)), stages.validation)
    world.answer(run / "eval" / "base", "on other questions", stages.validation, "v8", 0.0)
    subject = of_run(stages.blends["v8"], stages.test, ("-p", "cpu-fast"))
    found = collect(subject)
    assert subject.folder == run / "report@test" and [row.name for row in found.rows] == ["the base model", "v8, 0.5"]
    steps = {step.name: step.command for step in found.steps}
    assert list(steps) == ["data v8", "train v8", "eval base@test", "eval adapter-0.5@test"]
    assert steps["eval adapter-0.5@test"] == f"recipe eval v8 -p cpu-fast --alpha 0.5 --questions {stages.test}"
    lines = table(found).splitlines()
    assert lines[0].count("|") == lines[2].count("|") == 7 and lines[3].startswith("| v8, 0.5 | ")


def test_what_only_a_part_was_asked_of_is_told_and_what_is_missing_has_its_command(small: Path) -> None:
    stages = Stages(WalkRequest("cpu-fast"))
    world, run = World(stages, of_each=4), small / "cpu-fast" / "v8"
    world.do("questions", "data", "train")
    subject = of_run(stages.blends["v8"], stages.test, ("-p", "cpu-fast"))
    asked = ("--questions", str(stages.test))
    eval_, sweep = (("recipe", step, "v8", "-p", "cpu-fast", *asked) for step in ("eval", "sweep"))
    awq = ("recipe", "awq", "v8", "-p", "cpu-fast")
    empty = {"scores": eval_, "gains": eval_, "wiseft": sweep, "quality": awq, "examples": eval_}
    found = collect(subject)
    assert found.empty == {name: shlex.join(words) for name, words in empty.items()}
    assert found.headline.startswith("Held-out loss 3.40 → 1.20; ")
    html = page(found, {})
    assert html.index("Not there yet</h2>") < html.index("<code>recipe awq v8 -p cpu-fast</code>")
    assert "<code>recipe data</code>" in html and "`recipe data`" not in html and 'id="quality"' not in html
    for label, name, alpha, limit in [("base", "base", 0.0, 2), ("v8", "adapter-0.5", 0.5, 2), ("v8", "one", 0.5, 1)]:
        told = f"{name}@test,limit={limit}"
        world.answer(run / "eval" / told, label, stages.test, "v8", alpha, limit)
    found = collect(of_run(stages.blends["v8"], stages.test, ("-p", "cpu-fast")))
    assert [row.name for row in found.rows] == ["base", "v8"] and found.questions.startswith("the first 2 of each task")
    assert "not in the table, asked the first 1 of each task only: one@test,limit=1" in found.notes
    assert any(note.startswith("every model was asked the first 2 of each task only") for note in found.notes)
    world.answer(run / "eval" / "base@test", "base", stages.test, "v8", 0.0)
    found = collect(of_run(stages.blends["v8"], stages.test, ("-p", "cpu-fast")))
    assert len(found.rows) == 1 and sum("not in the table" in note for note in found.notes) == 2


def test_a_page_that_is_up_to_date_is_not_made_again(small: Path) -> None:
    World(Stages(WalkRequest("cpu-fast"))).do("data")
    arguments = ["-p", "cpu-fast"]
    first = CliRunner().invoke(command, arguments)
    assert first.exit_code == 0 and "steps are done; there is nothing to compare yet" in first.output
    html = small / "cpu-fast" / "report" / "report.html"
    written = html.stat().st_mtime_ns
    assert "is up to date" in CliRunner().invoke(command, arguments).output and html.stat().st_mtime_ns == written
    assert {path.name for path in html.parent.iterdir()} >= {"blend.svg", "blend.png", "flow.svg", "flow.png"}
    assert not list(html.parent.glob("quality.*"))


def test_the_winners_scores_are_five_to_a_row() -> None:
    assert {tuple(row) for row in published_scores().values()} == {("1", "2", "3", "4", "5")}
    assert set(published_scores()) == {"base", "fine-tuned", "round 1", "round 2", "AWQ of round 2"}


def test_the_table_for_a_readme_has_scores_and_gains(facts: Facts) -> None:
    scores, gains = (part.splitlines() for part in table(facts).split("\n\n")[:2])
    assert [line.split(" | ")[0] for line in scores[2:4]] == ["| base", "| published, 72B"]
    assert gains[0].startswith("| what each step adds, 95% interval | multiple choice |")
    assert {line.count("|") for line in gains} == {gains[0].count("|")} and len(gains) == 2 + len(facts.gains)
    assert gains[2].startswith("| round 1 beside base | +") and interval(facts.gains[0].types[0]) in gains[2]
    last = replace(facts.gains[-1], types=facts.gains[-1].types[1:], overall=None)  # tracks that hold not every type
    line = table(replace(facts, gains=[*facts.gains[:-1], last])).split("\n\n")[1].splitlines()[-1]
    assert line.split(" | ")[1] == "-" and line.endswith(" - |") and line.count("|") == gains[0].count("|")
