"""A pushed data set, loaded as its card says: by the `datasets` library, from the files that would be sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from axolotl_configs.render import resolve
from dataset_builders.task import task_names
from recipe.commands.push import command
from recipe.hub.parcel import find
from spine import runs
from spine.runs import Run
from tests.recipe.finished_run import FinishedRun, base_model


def test_the_datasets_library_loads_what_would_be_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import load_dataset

    monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "raw").mkdir()
    run = FinishedRun(Run("cpu", "v8"), tmp_path / "raw", base_model(tmp_path, monkeypatch))
    run.data()
    card = CliRunner().invoke(command, ["v8", "-p", "cpu", "--what", "data", "--to", "somebody/shopping", "--card"])
    assert card.exit_code == 0, card.exception
    folder = tmp_path / "shopping"
    folder.mkdir()
    (folder / "README.md").write_text(card.stdout)
    for name, content in find(resolve("v8", "cpu", {}, task_names()), "data").files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    found = load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert set(found) == {"train", "validation"}  # as the card tells: not what the files are called
    assert found["train"].to_list() == found["validation"].to_list() == run.texts
