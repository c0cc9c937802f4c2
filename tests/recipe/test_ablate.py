"""``recipe ablate``: the groups of a blend, the blends that are made of them, and what is told of their answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from axolotl_configs.blend import ResolvedBlend, resolve_blend
from dataset_builders.task import load_task, task_names
from recipe.commands import root
from recipe.trials.groups import BY, How, derive, groups_of
from recipe.trials.trial import Trial, TrialRequest
from spine import runs
from spine.errors import RecipeError
from tests.recipe.made_up import taken_as_done
from tests.recipe.test_trial import done


def blend(name: str = "v8") -> ResolvedBlend:
    return resolve_blend(name, task_names())


def rows(name: str) -> dict[str, int]:
    return {part.name: part.rows for part in blend(name).portions}


def typed(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["ablate", *arguments, "-p", "cpu-fast"], env={"COLUMNS": "300"})


@given(st.sampled_from(["v8", "v8-ours", "v7"]), st.sampled_from(list(BY)))
def test_every_dataset_is_in_one_group(name: str, by: str) -> None:
    parts = [part.name for group in groups_of(blend(name), by).values() for part in group]
    assert sorted(parts) == sorted(rows(name))


def test_groups_are_what_they_are_called(runs_folder: Path) -> None:
    by_source = groups_of(blend(), "source")
    assert list(by_source) == ["amazon_m2", "amazon_reviews", "esci", "ecinstruct", "alpaca", "mmlu"] or set(
        by_source
    ) == {load_task(name).source for name in rows("v8")}
    assert set(groups_of(blend(), "track")) == {"track-1", "track-2", "track-3", "track-4", "general"}
    assert [part.name for part in groups_of(blend(), "line")["line-21"]] == ["mmlu_auxiliary", "mmlu_exams"]
    assert "unlisted" in groups_of(blend("v8-ours"), "line")


@pytest.mark.parametrize("name", ["v8", "v8-ours"])
def test_the_others_keep_their_rows(name: str, runs_folder: Path) -> None:
    whole, group = rows(name), {part.name for part in groups_of(blend(name), "source")["esci"]}
    without, only, double = (rows(derive(blend(name), "source", how, ["esci"])["esci"]) for how in How)
    assert without == {name: count for name, count in whole.items() if name not in group}
    assert only == {name: count for name, count in whole.items() if name in group}
    assert double == {name: count * (1 + (name in group)) for name, count in whole.items()}


def test_a_made_blend_is_one_yaml_beside_the_runs(runs_folder: Path) -> None:
    (made,) = derive(blend(), "dataset", How.WITHOUT, ["co_purchase"]).values()
    file = runs.made_blends() / f"{made}.yaml"
    assert file.parent == runs_folder / "blends" and made == "v8-without-co_purchase"
    assert "include: v8" in file.read_text() and blend(made).files[0].path == file
    shown = CliRunner().invoke(root, ["show", made, "-p", "cpu-fast"])
    assert shown.exit_code == 0 and "v8-without-co_purchase/train" in shown.output


def test_a_file_of_the_users_own_is_a_group(runs_folder: Path, configs: Path, tmp_path: Path) -> None:
    (tmp_path / "ours.jsonl").write_text('{"input_field": "Name a fig.", "output_field": "fig"}\n' * 3)
    text = f"include: v8\ndatasets:\n  ours: {{path: {tmp_path / 'ours.jsonl'}, times: 2}}\n"
    (configs / "blends" / "mine.yaml").write_text(text)
    assert "ours" in groups_of(blend("mine"), "source")
    without, only, double = (rows(derive(blend("mine"), "source", how, ["ours"])["ours"]) for how in How)
    assert "ours" not in without and only == {"ours": 6} and double["ours"] == 12


def test_what_leaves_nothing_is_refused(runs_folder: Path, configs: Path) -> None:
    (configs / "blends" / "one.yaml").write_text("datasets: {co_purchase: {rows: 9}, next_query: {rows: 9}}\n")
    with pytest.raises(
        RecipeError, match="all of one is of one source, amazon_m2: without it nothing is left"
    ) as caught:
        derive(blend("one"), "source", How.WITHOUT)
    assert "one.yaml:" in str(caught.value)
    with pytest.raises(RecipeError, match="v8 has no source 'escii'") as caught:
        derive(blend(), "source", How.WITHOUT, ["escii"])
    assert "'esci'" in str(caught.value)
    assert not (runs_folder / "blends").exists()


def test_all_have_the_same_budget(runs_folder: Path) -> None:
    derived = derive(blend(), "source", How.WITHOUT)
    found = Trial(TrialRequest(("v8", *derived.values()), "8xa100", "rows=300000"))
    assert {sum(part.rows for part in one.portions) for one in found.blends.values()} == {300_000}
    assert [one.blend.name for one in found.askers] == ["v8"]  # whose questions are all there are


def test_what_a_group_brings(runs_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipe.walk.parts.ground", lambda profile, raw: [])
    derived = derive(blend(), "source", How.WITHOUT, ["esci", "mmlu"])
    found = Trial(TrialRequest(("v8", *derived.values()), "cpu-fast"))
    done(found, {"v8": 0.7, derived["esci"]: 0.3, derived["mmlu"]: 0.7})
    taken_as_done(monkeypatch)
    shown = typed("v8", "--by", "source", "--group", "esci", "--group", "mmlu")
    assert shown.exit_code == 0, shown.output + str(shown.exception)
    assert "overall: with it esci, v8 answers better: +0." in shown.output
    assert "overall: the data show no difference for mmlu" in shown.output
    folder = runs_folder / "cpu-fast" / "ablate@v8-without-source"
    assert {path.name for path in folder.iterdir()} >= {"groups.png", "trial.json"}
