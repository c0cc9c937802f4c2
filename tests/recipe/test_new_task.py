"""`recipe new task`: in the house's style, refused until it is filled in, and nothing is overwritten."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dataset_builders.raw import RawData
from dataset_builders.task import Seeded
from recipe.commands.new import command
from recipe.skeleton import new_task
from spine.errors import RecipeError
from spine.paths import ROOT
from spine.prompts import environment
from spine.task_types import TaskType


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "test_tasks.py").write_text('FACTS = {\n    "alpha": (1,),\n    "omega": (2,),\n}\nEVERY = 1\n')
    monkeypatch.setattr(new_task, "_TASKS", tmp_path / "tasks")
    monkeypatch.setattr(new_task, "_TESTS", tmp_path / "test_tasks.py")
    monkeypatch.setattr(new_task, "PROMPTS", tmp_path)
    return tmp_path


def typed(*words: str) -> Result:
    return CliRunner().invoke(command, ["task", *words], catch_exceptions=False)


def test_every_type_of_every_source_is_in_the_house_style_and_wants_to_be_filled_in(places: Path) -> None:
    for kind, source in product(TaskType, new_task.SOURCES):
        name = f"a_{kind.name}_{source}".lower()
        done = typed(name, "--type", kind.value, "--source", source, "--track", "2")
        assert done.exit_code == 0 and f"make samples-BLEND TASK={name}" in done.output
        words = environment(places).get_template(f"tasks/{name}.j2")
        values = {"title": "a fork", "options": ["steel", "oak"], "items": ["steel", "oak"]}
        for block in words.blocks.values():
            said = "".join(block(words.new_context(values)))
            assert "Title: a fork\n" in said
            assert ("0. steel\n1. oak\n" in said) is (kind is TaskType.MULTIPLE_CHOICE)
            assert ("1. steel\n2. oak\n" in said) is (kind in (TaskType.RETRIEVAL, TaskType.RANKING))
        assert len(words.blocks) == 3
        file = places / "tasks" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"dataset_builders.tasks.{name}", file)
        assert spec is not None and spec.loader is not None
        sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        del sys.modules[spec.name]
        assert (module.build.type, module.build.source, module.build.track) == (kind, source, 2)
        with pytest.raises(RecipeError, match=rf"{name}.py: what is asked is not filled in yet"):
            next(module.build.build(RawData(places), Seeded(1, name)))
    ruff = Path(sys.executable).with_name("ruff")
    for check in (["check"], ["format", "--check"]):
        command = [ruff, *check, "--config", ROOT / "pyproject.toml", places / "tasks"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_its_facts_stand_in_their_place(places: Path) -> None:
    assert typed("middle", "--type", "ranking").exit_code == 0
    text = (places / "test_tasks.py").read_text()
    expected = '    "alpha": (1,),\n    "middle": ("ranking", "esci", None, None),\n    "omega": (2,),\n'
    assert text == f"FACTS = {{\n{expected}}}\nEVERY = 1\n"
    (places / "test_tasks.py").unlink()
    assert len(new_task.write_skeleton("another", TaskType.NER, "esci", 1)) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("../x",), "'../x' is no name for a dataset"),
        (("Title",), "'Title' is no name"),
        (("there",), "there.j2: is there already"),
        (("fresh", "--source", "escii"), "no source 'escii'\n  -> did you mean 'esci'?"),
    ],
)
def test_nothing_is_overwritten_and_mistakes_are_named(words: tuple[str, ...], said: str, places: Path) -> None:
    (places / "tasks").mkdir()
    (places / "tasks" / "there.j2").write_text("mine")
    with pytest.raises(RecipeError) as caught:
        typed(*words)
    assert said in str(caught.value) and [path.name for path in (places / "tasks").iterdir()] == ["there.j2"]
