"""The floors of the house: a file imports only from floors below its own, and four rooms stay apart."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

from spine.code import module_file
from spine.paths import ROOT

ROOMS = ("axolotl_configs", "dataset_builders", "postprocess", "inference")
HOUSE = ("recipe", *ROOMS, "spine")
FILES = sorted(path for folder in HOUSE for path in (ROOT / folder).rglob("*.py"))
BELOW = ("steps", "walk", "report", "hub", "smoke", "trials", "skeleton")
MAX_BEGINNINGS = 2
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


def test_imports_go_down() -> None:
    for path in FILES:
        own = path.relative_to(ROOT).parts[0]
        ours = {name.split(".")[0] for name in imports(path)} & set(HOUSE)
        assert ours <= (set(HOUSE) if own == "recipe" else {own, "spine"}), path


def test_nothing_below_the_commands_imports_one() -> None:
    """Inside the roof: a command is parsed and printed on top of what it does."""
    for path in (path for room in BELOW for path in (ROOT / "recipe" / room).rglob("*.py")):
        assert not {name for name in imports(path) if name.startswith("recipe.commands")}, path


def test_no_circles_not_even_lazy_ones() -> None:
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
    graph = {name: (imports(path) & set(modules)) - {name} for name, path in modules.items()}
    order = tuple(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle
    assert set(order) == set(modules)


def test_modules_fit_in_a_head() -> None:
    long = {path: lines for path in FILES if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES}
    assert not long


def test_what_a_result_depends_on_is_no_list_kept_by_hand() -> None:
    """Steps state where their work begins; what that imports is found by reading it (``spine.code``)."""
    assert {f"{path.relative_to(ROOT)}:{line}" for path in FILES for line in _lists(path.read_bytes())} == set()
    assert [*_lists(b'KEPT = ["spine.code", "spine/lock.py", "recipe.walk.graph"]')] == [1]  # such a one is seen
    assert [*_lists(b'code_of("spine.code", "recipe.walk.graph", "spine.lock")')] == [1]


def _lists(source: bytes) -> Iterator[int]:
    """Lines where more of our modules are named side by side than a step has beginnings."""
    for node in ast.walk(ast.parse(source)):
        side_by_side = {ast.Call: "args", ast.Dict: "values"}.get(type(node), "elts")
        names = [one.value for one in getattr(node, side_by_side, ()) if isinstance(one, ast.Constant)]
        if len([name for name in names if isinstance(name, str) and _is_module(name)]) > MAX_BEGINNINGS:
            yield node.lineno  # type: ignore[attr-defined]


def _is_module(name: str) -> bool:
    return module_file(name.removesuffix(".py").replace("/", ".")) is not None


def test_every_test_asserts_something() -> None:
    """Directly, or by a helper that does; a call that only has to return is worth a word about what it returns."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "tests").rglob("*.py")]
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    asserting = {"raises", "fail"}
    for _ in range(4):  # a helper's helper's ...
        asserting |= {one.name for one in functions if not one.name.startswith("test_") and _asserts(one, asserting)}
    silent = [one.name for one in functions if one.name.startswith("test_") and not _asserts(one, asserting)]
    assert not silent


def _asserts(function: ast.FunctionDef, helpers: set[str]) -> bool:
    nodes = list(ast.walk(function))
    called = {getattr(node.func, "attr", getattr(node.func, "id", "")) for node in nodes if isinstance(node, ast.Call)}
    return bool(called & helpers) or any(isinstance(node, ast.Assert) for node in nodes)


def test_every_task_has_one_python_file_and_one_prompt_file() -> None:
    tasks = {path.stem for path in (ROOT / "dataset_builders" / "tasks").glob("[!_]*.py")}
    assert tasks == {path.stem for path in (ROOT / "prompts" / "tasks").glob("[!_]*.j2")}


def test_every_yaml_opens_with_the_commands_that_use_it() -> None:
    for path in (ROOT / "axolotl_configs").rglob("*.yaml"):
        head = [line for line in path.read_text().splitlines() if line.startswith("#")][:12]
        assert any("make " in line or "recipe " in line for line in head), path
