"""The files that docs/extending.md and docs/sources.md have a user write: in the house's style, and at work."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from axolotl_configs.select import choose
from spine.paths import ROOT, VENVS
from tests.axolotl_configs.test_select import machine
from tests.docs.pages import files, walk, write_files
from tests.docs.test_commands import is_typed
from tests.docs.world import copied_checkout, type_in
from tests.recipe.test_cli import recipe

PYTHON = sorted(name for name in files() if name.endswith(".py"))


def test_there_is_an_example_of_each() -> None:
    folders = Counter(str(Path(name).parent) for name in files())
    for folder in ("dataset_builders/tasks", "dataset_builders/sources", "axolotl_configs/blends", "prompts/tasks"):
        assert folders[folder] >= 1
    assert folders["axolotl_configs/profiles"] == 1
    assert not [name for name in files() if (ROOT / name).exists()], "an example would overwrite a file"


def test_every_task_has_its_prompt_file() -> None:
    tasks = {Path(name).stem for name in files() if name.startswith("dataset_builders/tasks/")}
    assert tasks == {Path(name).stem for name in files() if name.startswith("prompts/tasks/")} != set()


def test_every_yaml_opens_with_the_commands_that_use_it() -> None:
    for name, text in files().items():
        if name.endswith(".yaml"):
            assert f"-{Path(name).stem}" in text.splitlines()[1] or f"={Path(name).stem}" in text.splitlines()[1]


@pytest.mark.parametrize("name", PYTHON)
@pytest.mark.parametrize("check", [["check"], ["format", "--check"]], ids=lambda words: words[0])
def test_python_is_in_the_house_style(name: str, check: list[str]) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    done = subprocess.run(
        [ruff, *check, "--stdin-filename", name, "-"], input=files()[name], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_profile_is_chosen_for_its_machine(at_desk: Path) -> None:
    (profile,) = (Path(name).stem for name in files() if name.startswith("axolotl_configs/profiles/"))
    assert choose(machine(1, "L40S"), None)[0] == profile
    assert choose(machine(1, "A100-40GB"), None)[0] == "1x40gb"


@pytest.mark.slow  # builds a blend
def test_the_page_is_walked_to_the_letter(tmp_path: Path, model: Path) -> None:
    """A newcomer's dataset and a newcomer's machine, in a checkout that holds nothing of them before."""
    folder, page = copied_checkout(tmp_path, model), ROOT / "docs" / "extending.md"
    typed = {}
    for step in walk(page):
        if isinstance(step, str):
            write_files(folder, [step])
        elif is_typed(step, folder) or step.text.startswith("make new-task"):
            done = type_in(folder, step.text)
            assert done.returncode == 0, f"{step}:\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
            typed[step.text] = done.stdout
    assert set(typed) >= {"make data-v8-languages", "make plan-v8 PROFILE=1xl40s", "make rendered"}
    has_rows(folder, "v8-languages", "title_language", {"ask", "sort"})
    assert "title_language.py" in typed["make new-task NAME=title_language SOURCE=amazon_m2 TRACK=4"]
    facts = (folder / "tests" / "dataset_builders" / "test_tasks.py").read_text()
    assert '    "title_language": ("multiple-choice", "amazon_m2", 4, None),\n' in facts
    assert "‹<|im_end|>›" in typed["make samples-v8-languages TASK=title_language"]
    assert "fits      " in typed["make plan-v8 PROFILE=1xl40s"]
    rendered = (folder / "axolotl_configs" / "rendered" / "1xl40s" / "v8-languages.yaml").read_text()
    assert "sequence_len: 3072  # <- axolotl_configs/profiles/1xl40s.yaml:" in rendered


@pytest.mark.slow  # builds a blend
def test_a_source_of_ones_own(world: Path) -> None:
    done = type_in(world, "make data-v8-faq DATA=data/mine")
    assert done.returncode == 0, done.stderr
    has_rows(world, "v8-faq", "faq_answer", {"plain"})
    shown = type_in(world, "make samples-v8-faq TASK=faq_answer DATA=data/mine").stdout
    assert "faq_answer [" in shown and "‹<|im_end|>›" in shown


def has_rows(folder: Path, blend: str, task: str, wordings: set[str]) -> None:
    """The blend's training rows hold some of the dataset, in all its wordings."""
    import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]

    read: list[dict[str, Any]] = pq.read_table(folder / "runs" / "cpu" / blend / "data" / "train.parquet").to_pylist()
    rows = [row for row in read if row["task"] == task]
    assert len(rows) >= 5 and {row["wording"] for row in rows} == wordings


@pytest.mark.slow
@pytest.mark.skipif(not any((VENVS / "train").glob(".installed-*")), reason="needs the training environment")
def test_axolotl_accepts_the_profile(desk: Path) -> None:
    done = recipe("check", "v8", "-p", "1xl40s", RECIPE_CONFIGS=str(desk / "axolotl_configs"))
    assert done.returncode == 0, done.stderr
