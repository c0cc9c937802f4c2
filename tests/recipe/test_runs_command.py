"""``recipe runs``: one line for each training and evaluation, and which of them are comparable."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recipe.commands.runs import command
from recipe.trials import notebook
from recipe.trials.notebook import beside_parent, ordered_by, read_runs
from spine.manifest import NAME
from tests.recipe.finished_run import ALPHA, BASE, FinishedRun


def typed(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, env={"COLUMNS": "300"})


@pytest.fixture(autouse=True)
def here(runs_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "RUNS", runs_folder)


@pytest.fixture
def two(run: FinishedRun, base: Path, runs_folder: Path) -> Path:
    """v8 asked at two weights, and a copy with another setting that was asked other questions."""
    run.answers(f"adapter-{ALPHA}", run.run.train, ALPHA, base, 0.8)
    other = runs_folder / "cpu" / "v8+lora_r=32"
    shutil.copytree(run.run.folder, other)
    run.answers("base", None, None, base, BASE)
    evaluation = other / "eval" / f"adapter-{ALPHA}" / NAME
    known = json.loads(evaluation.read_text())
    known["inputs"]["answers"] |= {"selection": [20, [], []]}
    evaluation.write_text(json.dumps(known))
    return runs_folder


def test_what_lies_there_is_told_with_what_was_changed(two: Path) -> None:
    lines = {(line.run, line.model): line for line in read_runs()}
    assert set(lines) == {("cpu/v8", f"adapter-{ALPHA}"), ("cpu/v8", "base"), ("cpu/v8+lora_r=32", f"adapter-{ALPHA}")}
    trained, base = lines["cpu/v8", f"adapter-{ALPHA}"], lines["cpu/v8", "base"]
    assert (trained.rows, trained.steps, trained.loss, trained.hours) == (360, 85, 1.16, 0.111)
    assert base.steps is None  # nobody trained it
    assert lines["cpu/v8+lora_r=32", f"adapter-{ALPHA}"].beside == "lora_r=32"
    stored = json.loads((two / "cpu" / "v8" / "eval" / "base" / "scores.json").read_text())
    assert base.scores["1"]["score"] == stored["tracks"]["1"]["score"] < trained.scores["1"]["score"]


def test_settings_that_only_a_digest_names_are_read(run: FinishedRun, runs_folder: Path) -> None:
    other = runs_folder / "cpu" / "v8+9e1bda85aea7"
    shutil.copytree(run.run.folder, other)
    (other / "resolved.yaml").write_text(
        "lora_r: 64  # [S] why\nmicro_batch_size: 2  # <- SET\nsave_steps: 4  # <- SET\n"
    )
    beside = {line.run: line.beside for line in read_runs()}
    assert beside["cpu/v8+9e1bda85aea7"] == "micro_batch_size=2 save_steps=4 SET 9e1bda85aea7"


def test_a_line_has_room_on_a_usual_page(two: Path) -> None:
    lines = CliRunner().invoke(command, []).output
    assert "…" not in lines and f"adapter-{ALPHA}" in lines and " ±" in lines


def test_other_questions_have_another_letter_and_that_is_said(two: Path) -> None:
    letters = {(line.run, line.model): line.letter for line in read_runs()}
    assert (
        letters["cpu/v8", "base"]
        == letters["cpu/v8", f"adapter-{ALPHA}"]
        != letters["cpu/v8+lora_r=32", f"adapter-{ALPHA}"]
    )
    shown = typed("--sort", "overall").output
    assert "limit 20" in shown and "2 ways of asking: scores are comparable within one letter" in shown
    shutil.rmtree(two / "cpu" / "v8+lora_r=32")
    assert "ways of asking" not in typed().output


def test_sorted_within_what_is_comparable(two: Path) -> None:
    by_score = ordered_by(read_runs(), "overall")
    assert [line.letter for line in by_score] == sorted(line.letter for line in by_score)
    mine = [line.scores["overall"]["score"] for line in by_score if line.run == "cpu/v8"]
    assert mine == sorted(mine, reverse=True)
    dates = [line.date for line in ordered_by(read_runs(), "date")]
    assert dates == sorted(dates, reverse=True)
    assert ordered_by(read_runs(), "loss")[-1].loss is None  # the base, which has none


def test_as_json_and_csv(two: Path, tmp_path: Path) -> None:
    done = typed("--json", str(tmp_path / "a.json"), "--csv", str(tmp_path / "a.csv"))
    assert done.exit_code == 0
    lines = json.loads((tmp_path / "a.json").read_text())
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(lines) == 3
    for row, line in zip(rows, lines, strict=True):
        assert row["run"] == line["run"] and float(row["track_1"]) == line["scores"]["1"]["score"]
        assert float(row["overall_low"]) == line["scores"]["overall"]["low"]


def test_a_training_that_was_not_asked_and_a_cut_off_evaluation(run: FinishedRun, base: Path) -> None:
    assert [(line.run, line.model, line.letter) for line in read_runs()] == [("cpu/v8", "", "")]
    run.answers("base", None, None, base, BASE)
    (run.run.folder / "eval" / "base" / NAME).unlink()
    assert [line.model for line in read_runs()] == [""]


def test_nothing_there_and_no_such_questions(two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = typed("--questions", "nobody's")
    assert "no evaluation on questions 'nobody's'" in str(refused.exception)
    monkeypatch.setattr(notebook, "RUNS", tmp_path / "empty")
    assert "nothing has been trained" in str(typed().exception)


def test_a_blend_beside_what_it_includes(configs: Path) -> None:
    beside_parent.cache_clear()
    (configs / "blends" / "mine.yaml").write_text(
        "include: v8\ndatasets:\n  co_purchase: {rows: 0}\n  liked_titles: {rows: 7000}\n  next_query: {rows: 50}\n"
        "axolotl: {lora_r: 32}\n"
    )
    shares = {name: f"{rows / total:.1%}" for name, rows, total in
              (("before", 5815, 502_435), ("after", 7000, 502_435 - 10_000 + 50 + 1185))}  # fmt: skip
    found = beside_parent("mine")
    assert found.startswith("v8: +next_query 0.0%; −co_purchase; ") and found.endswith("; lora_r=32")
    assert f"liked_titles {shares['before']} → {shares['after']}" in found
    assert beside_parent("v8") == "" and beside_parent("gone") == "its blend is not there"
    assert beside_parent("v9b").startswith("v8: from v8 at 0.5625; ")
    beside_parent.cache_clear()


def test_the_page_has_every_line_escaped_and_needs_nothing_else(two: Path, tmp_path: Path) -> None:
    (two / "cpu" / "v8+lora_r=32").rename(two / "cpu" / "v8+run=<b>")
    shown = typed("--page", str(tmp_path / "runs.html"))
    assert shown.exit_code == 0 and "runs.html" in shown.output
    page = (tmp_path / "runs.html").read_text()
    assert page.count("<tr>") == 1 + 3 and "v8+run=&lt;b&gt;" in page and "<b>&gt;" not in page
    assert f"adapter-{ALPHA}" in page and "http" not in page.replace("http-equiv", "")
