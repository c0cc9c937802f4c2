"""``recipe push``: what is refused, and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from axolotl_configs.render import resolve
from dataset_builders.task import task_names
from recipe.commands.push import command
from spine import manifest
from spine.manifest import Step
from spine.runs import Run
from tests.recipe.finished_run import ALPHA, DATASETS, FinishedRun, dataset, finish
from tests.recipe.hub import Hub, Repo
from tests.recipe.pushing import ADAPTER, MERGED, NAME, push, refused, sent


@pytest.mark.parametrize("name", ["shopping", "/x", "a/b/c", "somebody/", "some body/x", "somebody/.git"])
def test_names_that_are_none(name: str, run: FinishedRun, hub: Hub) -> None:
    assert "--to USER/NAME" in refused("--to", name, "--yes") and not hub.asked


def test_yes_needs_a_name(run: FinishedRun) -> None:
    assert "--yes needs --to" in push("--yes").output


def test_another_s_content_is_not_overwritten(run: FinishedRun, hub: Hub) -> None:
    hub.repos["model", NAME] = repo = Repo(private=True)
    repo.files |= {"model.bin": b"theirs", "README.md": b"# Theirs\n"}
    assert "holds something else: model.bin" in refused("--to", NAME, "--yes") and not repo.commits
    sent("--replace")
    assert repo.commits == [ADAPTER]  # at once: at no time both of them, or half of one


def test_an_empty_repository_is_filled(run: FinishedRun, hub: Hub) -> None:
    hub.repos["model", NAME] = repo = Repo(private=True)
    repo.files["README.md"] = b"made on the website"
    sent()
    assert repo.commits == [ADAPTER] and b"website" not in repo.files["README.md"]


def test_a_repository_that_others_see_is_not_filled_by_mistake(run: FinishedRun, hub: Hub) -> None:
    hub.repos["model", NAME] = Repo(private=False)
    assert "is there and public" in refused("--to", NAME, "--yes")
    hub.repos["model", NAME] = Repo(private=True)
    assert "is there and private" in refused("--to", NAME, "--public", "--yes")


def not_finished(run: FinishedRun) -> None:
    (run.run.train / "manifest.json").unlink()


def damaged(run: FinishedRun) -> None:
    (run.run.train / "adapter_config.json").write_text("{ }")


def other_rows(run: FinishedRun) -> None:
    (run.run.data / "train.parquet").write_bytes(b"other rows")
    finish(Step(run.run.data, "data", {}), ["train.parquet", "val.parquet", "stats.json"], raw=str(run.raw))


def no_rows(run: FinishedRun) -> None:
    (run.run.data / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [(not_finished, "is not finished"), (damaged, "adapter_config.json changed since"), (other_rows, "not those that"),
     (no_rows, "rows are not there")],
)  # fmt: skip
def test_what_is_not_whole_stays_here(
    spoil: Callable[[FinishedRun], None], told: str, run: FinishedRun, hub: Hub
) -> None:
    spoil(run)
    assert told in refused("--to", NAME, "--yes") and not hub.asked


def test_a_model_of_another_adapter_stays_here(run: FinishedRun) -> None:
    (run.run.train / "adapter_model.safetensors").write_bytes(b"trained anew")
    finish(Step(run.run.train, "train", manifest.read(run.run.train)["inputs"]), ["adapter_model.safetensors"])  # type: ignore[index]
    assert "another adapter" in refused("--what", MERGED)


def test_what_is_not_there_is_named(run: FinishedRun) -> None:
    assert "did you mean 'merged-0.5625'?" in refused("--what", "merged-0.56")
    run.awq()
    (run.run.mixed("merged", ALPHA) / "manifest.json").unlink()
    assert "no longer beside it" in refused("--what", f"awq-{ALPHA}")


@pytest.mark.parametrize("what", ["adapter", "data", MERGED])
def test_public_needs_the_sources_leave(what: str, run: FinishedRun, hub: Hub, raw: Path) -> None:
    (raw / "products.csv").write_text("now they are real ones")  # no longer the sample shop as it was written
    said = refused("--what", what, "--to", NAME, "--public", "--yes")
    assert "Amazon-M2 (KDD Cup 2023): the challenge's rules" in said and "--accept-licence" in said
    assert "ESCI" not in said and "Alpaca" not in said and not hub.asked  # open licences let rows be passed on
    sent("--what", what, "--public", "--accept-licence")
    assert not next(iter(hub.repos.values())).private


def test_private_needs_nobody_s_leave(run: FinishedRun, hub: Hub, raw: Path) -> None:
    (raw / "products.csv").unlink()
    sent("--what", "data")
    assert b"license: other" in hub.repo(NAME, "dataset").files["README.md"]


def test_questions_of_one_s_own_are_nobody_else_s(runs_folder: Path, base: Path, raw: Path) -> None:
    made = FinishedRun(Run("cpu", "v8"), raw, base, {"ours": dataset("own", 50), **DATASETS})
    made.data()
    assert "own questions: not stated" in refused("--what", "data", "--public")


def test_a_second_round_answers_for_the_first_one_s_rows(runs_folder: Path, base: Path, raw: Path) -> None:
    (raw / "products.csv").unlink()
    first = FinishedRun(Run("cpu", "v8"), raw, base, {"reviews": dataset("amazon_reviews", 30)})
    first.data()
    first.train()
    second = FinishedRun(Run("cpu", "v9b"), raw, base, {"query_product_ranking": dataset("esci", 9, "ranking", 3)})
    second.data()
    second.train(start=resolve("v9b", "cpu", {}, task_names()).start.as_json())  # type: ignore[union-attr]
    done = CliRunner().invoke(command, ["v9b", "-p", "cpu", "--public"])
    assert "Amazon Reviews 2023" in str(done.exception) and "| first trained on | blend `v8`, 30 rows" in done.output
    (first.run.train / "manifest.json").unlink()
    done = CliRunner().invoke(command, ["v9b", "-p", "cpu"])
    assert "nobody can say which rows are in it" in str(done.exception)
