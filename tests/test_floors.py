"""The floors of the house: a file imports only from floors below its own, and four rooms stay apart."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

from spine.paths import ROOT

ROOMS = ("axolotl_configs", "dataset_builders", "postprocess", "inference")
HOUSE = ("recipe", *ROOMS, "spine")
FILES = sorted(path for folder in HOUSE for path in (ROOT / folder).rglob("*.py"))
MAX_LINES = 350  # a module is as long as its idea; about 250 is what fits in a head


def imports(path: Path) -> set[str]:
    """Every module that ``path`` imports, lazily or not."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0]
    ours = {name.split(".")[0] for name in imports(path)} & set(HOUSE)
    allowed = set(HOUSE) if own == "recipe" else {own, "spine"}
    assert ours <= allowed


def test_no_circles_not_even_lazy_ones() -> None:
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
    graph = {name: (imports(path) & set(modules)) - {name} for name, path in modules.items()}
    tuple(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_fit_in_a_head(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_every_task_has_one_python_file_and_one_prompt_file() -> None:
    tasks = {path.stem for path in (ROOT / "dataset_builders" / "tasks").glob("[!_]*.py")}
    assert tasks == {path.stem for path in (ROOT / "prompts" / "tasks").glob("[!_]*.j2")}


def test_every_yaml_opens_with_the_commands_that_use_it() -> None:
    for path in (ROOT / "axolotl_configs").rglob("*.yaml"):
        head = [line for line in path.read_text().splitlines() if line.startswith("#")][:12]
        assert any("make " in line or "recipe " in line for line in head), path
