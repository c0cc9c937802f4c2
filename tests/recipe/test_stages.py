"""The stages of the recipe: what `recipe reproduce` would run, from tracks.yaml, the blends and the profile alone."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from axolotl_configs.schema import Parent, TrackChoice, Tracks
from recipe.commands import root
from recipe.report.collect import whole_walk
from recipe.steps import data, train
from recipe.walk import rows
from recipe.walk.graph import Stage, why
from recipe.walk.request import WalkRequest
from recipe.walk.rows import ALL_AROUND, BASE, Model
from recipe.walk.stages import Stages
from spine.errors import RecipeError
from spine.manifest import NAME, Step
from spine.paths import ROOT
from tests.conftest import edit

GOLDEN = Path(__file__).parent.parent / "golden" / "reproduce"
HEAVY = {"torch", "transformers", "axolotl", "matplotlib", "datasets", "peft"}


def graph(profile: str = "cpu", overrides: str = "", **more: Path) -> dict[str, Stage]:
    return {stage.name: stage for stage in whole_walk(Stages(WalkRequest(profile, overrides, **more)))}  # type: ignore[arg-type]


def swept(runs: Path, blend: str, best: dict[str, float]) -> None:
    """What a finished sweep leaves."""
    step = Step(runs / "cpu" / blend / "eval" / "sweep@validation", "sweep", {})
    step.folder.mkdir(parents=True)
    rows = [{"track": track, "alpha": alpha} for track, alpha in best.items()]
    (step.folder / "sweep.json").write_text(json.dumps({"best": rows}))
    step.finish(["sweep.json"])


@pytest.mark.parametrize("profile", ["cpu", "cpu-fast", "8xa100"])
def test_the_whole_recipe_is_as_the_golden_file(profile: str, runs_folder: Path) -> None:
    lines = []
    for stage in graph(profile).values():
        outputs = " ".join(str(path) for path in stage.outputs)
        lines.append(f"{stage.name}\n  {shlex.join(stage.command)}\n  after {', '.join(stage.needs)}\n  -> {outputs}\n")
    text = "".join(lines).replace(str(runs_folder), "runs").replace(f"{ROOT}/", "")
    golden = GOLDEN / f"{profile}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text(), "if that is as it should be: UPDATE_GOLDEN=1 make test-fast"


@pytest.mark.parametrize("profile", ["cpu", "8xa100"])
def test_each_stage_stands_behind_what_it_needs_and_no_folder_belongs_to_two(profile: str, runs_folder: Path) -> None:
    seen: set[str] = set()
    folders: list[Path] = []
    for stage in graph(profile).values():
        assert set(stage.needs) <= seen
        seen.add(stage.name)
        folders += stage.outputs
    assert len(set(folders)) == len(folders)


def finished(folder: Path, *names: str) -> None:
    """A folder that some step has left."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text(f"{folder} {name}")
    Step(folder, "a step", {}).finish(list(names))


@pytest.fixture
def with_rows(runs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every blend has rows, every first round an adapter; the shop is a folder of the test's own."""
    for stage in graph().values():
        if stage.kind == "data":
            finished(stage.outputs[0], "train.parquet", "val.parquet")
        if stage.kind == "train":
            finished(stage.outputs[0], "adapter_model.safetensors")
    finished(tmp_path / "shop", "shop.txt")
    monkeypatch.setattr(data, "SAMPLE", tmp_path / "shop")
    monkeypatch.setattr(data, "tokenizer_digest", lambda model: "a tokenizer")
    monkeypatch.setattr(train, "base_stamp", lambda resolved: "a base")
    return runs_folder


def keys(**asked: Path) -> dict[str, list[str]]:
    """What the stages before any answer depend on, as it is now."""
    kinds = ("sample-data", "questions", "data", "train")
    return {name: [step.key for step in s.steps()] for name, s in graph(**asked).items() if s.kind in kinds}


def test_a_touched_blend_changes_what_depends_on_it(configs: Path, with_rows: Path) -> None:
    before = keys()
    assert all(before.values()) and len(before) == 10
    edit(configs / "blends" / "v9b.yaml", "rows: 80000", "rows: 80000   # a comment")
    assert before == keys()
    edit(configs / "blends" / "v9b.yaml", "liked_titles: {rows: 12000}", "liked_titles: {rows: 52000}")
    after = keys()
    assert {name for name in before if before[name] != after[name]} == {"data v9b"}
    for old, new, trained in [
        ("lora_dropout: 0 ", "lora_dropout: 0.1 ", {"train v7", "train v8", "train v7b", "train v9b"}),
        ("learning_rate: 0.001", "learning_rate: 0.002", {"train v7", "train v8"}),  # second rounds have their own
    ]:
        before = keys()
        edit(configs / "profiles" / "cpu.yaml", old, new)
        assert {name for name, key in keys().items() if before[name] != key} == trained


def test_a_parent_that_changes_makes_the_second_round_stale(configs: Path, with_rows: Path) -> None:
    before = keys()
    edit(configs / "blends" / "v9b.yaml", "alpha: 0.5625", "alpha: 0.5")
    after = keys()
    assert {name for name in before if before[name] != after[name]} == {"train v9b"}
    shutil.rmtree(with_rows / "cpu" / "v8" / "train")
    finished(with_rows / "cpu" / "v8" / "train", "another.safetensors")
    assert {name for name, key in keys().items() if after[name] != key} == {"train v9b"}


def test_a_stage_says_what_has_changed_since_its_command_ran(configs: Path, with_rows: Path) -> None:
    stage = graph()["train v8"]
    finished_step = next(iter(stage.steps()))
    (finished_step.folder / "adapter_model.safetensors").write_text("trained")
    finished_step.finish(["adapter_model.safetensors"])
    assert why(graph()["train v8"]) == ""
    edit(configs / "profiles" / "cpu.yaml", "learning_rate: 0.001", "learning_rate: 0.002")
    assert why(graph()["train v8"]) == "changed: axolotl (learning_rate)"
    (with_rows / "cpu" / "v8" / "data" / "train.parquet").write_text("other rows")
    finished(with_rows / "cpu" / "again", "train.parquet", "val.parquet")
    (with_rows / "cpu" / "v8" / "data" / NAME).write_text((with_rows / "cpu" / "again" / NAME).read_text())
    assert "axolotl (learning_rate), data (train.parquet and 1 more)" in why(graph()["train v8"])


def leaves(value: Any) -> set[str]:
    """Every key of nested mappings."""
    if not isinstance(value, Mapping):
        return set()
    return value.keys() | {key for inner in value.values() for key in leaves(inner)}


def test_every_step_states_the_code_that_makes_its_result(with_rows: Path) -> None:
    """Down to what no list that was kept by hand had; tests/spine/test_code.py proves that all of it counts."""
    known = {
        "questions": ["dataset_builders/blend/mix.py", "dataset_builders/pools/build.py"],
        "data v8": ["dataset_builders/tasks/review_rating.py", "prompts/tasks/review_rating.j2", "spine/chat.py"],
        "train v8": ["axolotl_configs/plugin.py", "axolotl_configs/events.py"],
        "report": ["recipe/report/page.py", "recipe/report/page.html.j2", "inference/scoring/metrics.py"],
    }
    stages = graph()
    for name, files in known.items():
        (step,) = stages[name].steps()
        assert set(files) <= leaves(step.inputs), name
    assert "tests/recipe/test_stages.py" not in leaves(next(iter(stages["report"].steps())).inputs)


def test_an_edited_deepspeed_json_is_another_training(with_rows: Path, tmp_path: Path) -> None:
    own = tmp_path / "zero.json"
    own.write_text((ROOT / "axolotl_configs" / "deepspeed" / "zero2.json").read_text())
    rows = Stages(WalkRequest("8xa100", f"deepspeed={own}")).blends["v8"]
    finished(rows.run.data, "train.parquet", "val.parquet")
    step = train.train_step(rows)
    (step.folder).mkdir(parents=True)
    step.finish([])
    assert train.train_step(rows).why() == ""
    own.write_text(own.read_text().replace("true", "false", 1))
    assert train.train_step(rows).why() == "changed: deepspeed"


def test_another_tracks_file_is_another_graph(configs: Path, runs_folder: Path) -> None:
    (configs / "blends" / "v10.yaml").write_text("include: v9b\nparent: v9b\nseed: 45\n")
    edit(configs / "profiles" / "cpu.yaml", "exports: [5]", "exports: [1, 2, 5]")
    choices = "\n".join(f"  track{n}: {{blend: {blend}, alpha: {alpha}}}" for n, blend, alpha in
                        [(1, "v10", 0.5), (2, "v8", 0.0), (5, "v10", 0.5)])  # fmt: skip
    (configs / "tracks.yaml").write_text(f"round1:\n  track5: {{blend: v8, alpha: 1.0}}\nround2:\n{choices}\n")
    found = graph()
    assert [name.split()[1] for name in found if name.startswith("train")] == ["v8", "v9b", "v10"]
    assert "train v9b" in found["train v10"].needs
    assert "eval v10 0.5" in found and "--track" not in found["eval v10 0.5"].command  # track 5 asks everything
    assert [name for name in found if name.startswith("awq")] == ["awq v10 0.5", "awq v8 0"]
    edit(configs / "blends" / "v8.yaml", "seed: 42", "seed: 42\nparent: v10")
    with pytest.raises(RecipeError, match="circular parents: v8 -> v10 -> v9b -> v8"):
        graph()


def test_a_second_round_may_be_shorter_but_not_where_rows_are_typed(runs_folder: Path) -> None:
    found, typed = graph(), graph(overrides="rows=880")
    assert found["train v8"].work == found["train v7"].work == 6 * found["train v9b"].work > 0
    assert typed["train v8"].work == typed["train v9b"].work == 880


def test_settings_hold_for_both_rounds(runs_folder: Path) -> None:
    found = graph(overrides="rows=44")
    assert found["train v8"].outputs[0].parent.name == "v8+rows=44"
    assert found["train v9b"].outputs[0].parent.name == "v9b+parent=same,rows=44"
    settings = Stages(WalkRequest("cpu", "rows=44")).blends["v9b"].axolotl
    assert str(settings["lora_model_dir"]).endswith("v8+rows=44/adapter-0.5625")
    assert found["questions"].outputs[0].name == "questions+rows=44"
    assert "parent=same" not in " ".join(found["questions"].command)


def test_swept_weights_have_rows_of_their_own_and_nothing_is_asked_twice(runs_folder: Path) -> None:
    swept(runs_folder, "v8", {"1": 0.5, "2": 0.5, "3": 0.5625, "overall": 0.0})
    swept(runs_folder, "v9b", {"1": 0.75, "3": 1.0, "overall": 0.25})
    stages = Stages(WalkRequest("cpu"))
    rows = {row.name: row.models for row in stages.rows}
    assert rows["round 1, swept weights"] == {
        1: Model("v8", 0.5), 2: Model("v7", 1.0), 3: Model("v8", 0.5625), 4: Model("v7", 1.0), 5: BASE
    }  # fmt: skip
    assert rows["round 2, swept weights"][3] == Model("v9b", 1.0)
    found = {stage.name: stage for stage in stages.all()}
    assert found["eval v8 0.5"].command[-2:] == ("--track", "1")
    assert found["eval v9b 1"].command[-2:] == ("--track", "3") and "eval v8 0" not in found
    swept(runs_folder, "v7", {"2": 1.0, "4": 1.0})
    assert "round 1, swept weights" in {row.name for row in Stages(WalkRequest("cpu")).rows}


def test_a_users_questions_decide_which_tracks_there_are(runs_folder: Path, tmp_path: Path) -> None:
    row = {"input_field": "Which?\n0. a\n1. b\nAnswer:", "output_field": 0, "task_type": "multiple-choice"}
    tracks = ("understanding-shopping-concepts", "user-behavior-alignment")
    file = tmp_path / "own.json"
    file.write_text("\n".join(json.dumps({**row, "track": f"amazon-kdd-cup-24-{track}"}) for track in tracks))
    found = graph(questions=file)
    assert "eval v7 1" not in found and "eval v7b 0.5" not in found  # tracks 2 and 4
    assert found["eval v9b 0.75"].command[-2:] == ("--track", "1")
    assert str(file) in found["eval v8 0.5625"].command and "--track" not in found["eval v8 0.5625"].command
    assert "questions" not in found["eval base"].needs and "questions" in found["sweep v8"].needs
    shown = CliRunner().invoke(root, ["reproduce", "--dry-run", "-p", "cpu", "--questions", str(file)])
    assert shown.exit_code == 0 and f"no questions of track 2, 4 in {file}" in shown.output


CHOICES = st.dictionaries(
    st.sampled_from([f"track{n}" for n in range(1, 6)]),
    st.builds(TrackChoice, blend=st.sampled_from(["v7", "v8"]), alpha=st.sampled_from([0.0, 0.5, 1.0])),
)
SWEPT = st.dictionaries(
    st.sampled_from(["v7", "v8"]), st.dictionaries(st.integers(1, 5), st.sampled_from([0.0, 0.5, 1.0]))
)


@given(CHOICES, CHOICES, SWEPT, st.sets(st.integers(1, 5)), st.sets(st.integers(1, 4)), st.booleans())
def test_every_row_has_all_its_answers(
    first: dict[str, TrackChoice],
    second: dict[str, TrackChoice],
    best: dict[str, dict[int, float]],
    exports: set[int],
    there: set[int],
    unbound: bool,
) -> None:
    tracks = Tracks(round1=first, round2=second)
    made = rows.rows(tracks, best, exports, {"v8": Parent(blend="v7", alpha=0.5)}, unbound=unbound)
    asked = rows.asked(made, there)
    for row in made:
        for track, model in row.models.items():
            if track == ALL_AROUND:
                assert asked[model] == ()
            elif track in there:
                assert asked[model] == () or track in asked[model]
    assert all(set(of) <= there for of in asked.values())
    assert all(model.export or model.alpha or not model.blend for model in asked)  # the base goes by one name
    assert any(model.unbound for model in asked) == unbound
    assert {model for row in made for model in row.models.values() if model.export} == set(
        rows.exported(tracks, exports)
    )


def test_a_track_that_there_is_not_is_refused(configs: Path) -> None:
    edit(configs / "tracks.yaml", "  track5: {blend: v9b", "  track6: {blend: v9b")
    with pytest.raises(RecipeError, match=r"tracks.yaml: there is no track6(.|\n)*track5"):
        graph()


def test_questions_must_not_be_called_like_those_that_weights_are_chosen_on(tmp_path: Path) -> None:
    (tmp_path / "validation.json").write_text("{}")
    with pytest.raises(RecipeError, match=r"validation\.json: the wise-ft weights"):
        Stages(WalkRequest("cpu", questions=tmp_path / "validation.json"))


def test_the_dry_run_of_the_72b_needs_no_file_and_no_gpu(runs_folder: Path) -> None:
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(root, ["reproduce", "-n", "-p", "8xa100"])
    assert shown.exit_code == 0, shown.output
    count = len(graph("8xa100"))
    for part in ("train v9b", "awq-padded-0.25", f" of {count} stages", "6:58", "GiB"):
        assert part in shown.output


def test_there_is_a_fast_variant_or_it_is_said_how_to_make_one() -> None:
    shown = CliRunner().invoke(root, ["reproduce", "-n", "-p", "cpu", "--fast"])
    assert shown.exit_code == 0 and "profile cpu-fast (the variant of cpu for CI)" in shown.output
    refused = CliRunner().invoke(root, ["reproduce", "-n", "-p", "8xa100", "--fast"])
    assert "include: 8xa100" in str(refused.exception)


def test_working_out_what_is_stale_imports_nothing_heavy(tmp_path: Path) -> None:
    step = Step(tmp_path / "cpu" / "questions", "questions", {})
    step.folder.mkdir(parents=True)
    step.finish([], datasets={"validation": {"next_query": 1}, "test": {"next_query": 1}}, tracks={"next_query": 3})
    code = (
        "import sys; from recipe.commands import reproduce\n"
        "from recipe.walk.stages import Stages; from recipe.walk.request import WalkRequest\n"
        "assert 'eval base' in [stage.name for stage in Stages(WalkRequest('cpu')).all()]\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    environment = {**os.environ, "RECIPE_RUNS": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert not set(done.stdout.split()) & HEAVY
