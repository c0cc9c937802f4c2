"""The two places in which the pages' commands are tried."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from axolotl_configs import blend, render, schema
from spine.paths import CONFIGS
from tests.docs.pages import write_files
from tests.docs.world import MODEL, copied_checkout, type_in


@pytest.fixture(scope="package")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that commands name, and axolotl_configs with the pages' own blends and profiles."""
    folder = tmp_path_factory.mktemp("desk")
    named = ("development.json", "questions.json", "question.txt", "data/ours.jsonl", f"{MODEL}/config.json")
    for name in (*named, "runs/cpu/v8/eval/base/scores.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "data" / "ours.jsonl").write_text('{"input_field": "Is it in stock?", "output_field": "It is."}')
    shutil.copytree(CONFIGS, folder / "axolotl_configs", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    write_files(folder)
    return folder


@pytest.fixture
def at_desk(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The desk, and this process sitting at it."""
    monkeypatch.chdir(desk)
    monkeypatch.setattr(blend, "ROOT", desk)
    for module in (schema, render):
        monkeypatch.setattr(module, "CONFIGS", desk / "axolotl_configs")
    return desk


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """A checkout in which blends are built and, so to speak, trained and asked."""
    folder = copied_checkout(tmp_path_factory.mktemp("checkout"), model)
    write_files(folder)
    for text in (
        *(f"make data-{name}" for name in ("v8", "v9b", "v8-more-ner", "v8-languages")),
        *(f"recipe sample-data --out data/{name}" for name in ("mine", "published")),
        "recipe questions v8 v9b",
        "python -m tests.docs.world",
        f"recipe merge --base {MODEL} --add made/v8/adapter --out merged",
        "recipe pad --model merged --out padded --by 4",
    ):
        done = type_in(folder, text)
        assert done.returncode == 0, f"{text}:\n{done.stderr}"
    return folder
