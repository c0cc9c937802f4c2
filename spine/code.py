"""The code that a result depends on, found by reading it: what a module imports of this project, which files it names.

A step states the modules that do its work; what these import, at their head or inside a function, follows. A string
that is the name of one of our modules counts as an import (``python -m`` in another environment), and one that names a
file beside the module, in the checkout, in ``prompts/`` or in ``axolotl_configs/`` counts as read (a kernel's C, a word
list, a template with all that it includes). What is chosen while a program runs - a task by its name - the step states.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from spine.atomic import write_text
from spine.paths import CACHE, ROOT

# Where results lie, how progress and errors are told, whether something is up to date: no byte of a result is theirs,
# and a reworded message is no reason to train again. tests/spine/test_code.py holds them to it.
_ASIDE = "atomic code errors lock manifest paths pieces progress stamp terminal tracebacks"
ASIDE = frozenset(f"spine.{name}" for name in _ASIDE.split())
_PLACES = (ROOT, ROOT / "prompts", ROOT / "axolotl_configs")
_FILE = re.compile(r"[\w./-]{1,200}\.\w{1,8}")
_NAME = re.compile(r"[\w./:-]{1,200}")  # of a file or a module, and an attribute of that
_KEPT = CACHE / "mentions.json"
_MOST = 5000
_LENGTH = 12  # hex digits of a digest that is told


def code_of(*starts: str | Path) -> dict[str, str]:
    """Every file of the project that ``starts`` depend on, with a digest of its content.

    Args:
        starts: modules by their dotted names, and files.

    Raises:
        ValueError: there is no such module or file here.
    """
    found: set[Path] = set()
    known = len(_kept())
    waiting = [path for start in starts for path in (_started(start) if isinstance(start, str) else [start.resolve()])]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += reads(path)
    if len(_kept()) > known:
        with suppress(OSError):
            write_text(_KEPT, json.dumps(_kept()))
    return {str(path.relative_to(ROOT)): _digest(path) for path in sorted(found)}


def reads(path: Path) -> tuple[Path, ...]:
    """The project's files that ``path`` needs, directly; those in ``ASIDE`` are none."""
    return _reads(path, path.stat().st_mtime_ns)


@cache
def _reads(path: Path, changed: int) -> tuple[Path, ...]:
    """``changed``: when; a walk takes hours, and a file may be edited meanwhile."""
    if path.suffix == ".j2":
        return tuple(dict.fromkeys(_included(path)))
    if path.suffix != ".py":
        return ()
    return tuple(dict.fromkeys(file for name in _mentions(path) for file in _meant(name, path.parent)))


def _mentions(path: Path) -> list[str]:
    """What a module imports and the strings in it that may name a module or a file. Kept by its content: to parse the
    house takes over a second."""
    key, known = _digest(path), _kept()
    if key not in known:
        known[key] = sorted(set(_spoken(ast.parse(path.read_bytes(), str(path)))))
    return known[key]


@cache
def _kept() -> dict[str, list[str]]:
    """All of it; anew where it is broken, or holds many versions of the house."""
    try:
        found = json.loads(_KEPT.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) and len(found) < _MOST else {}
    except (OSError, ValueError):
        return {}


def module_file(name: str) -> Path | None:
    """The file of one of the project's modules or packages; None for all others."""
    if name.split(".")[0] not in _packages():
        return None
    path = ROOT.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _started(name: str) -> list[Path]:
    if module_file(name) is None:
        raise ValueError(f"{name} is no module of this project")
    return list(_modules(name))


@cache
def _packages() -> frozenset[str]:
    return frozenset(path.parent.name for path in ROOT.glob("*/__init__.py")) - {"tests"}


def _digest(path: Path) -> str:
    return _digested(path, path.stat().st_mtime_ns)


@cache
def _digested(path: Path, changed: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:_LENGTH]


def _spoken(tree: ast.AST) -> Iterator[str]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        text = ""
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant | ast.BinOp) and (text := _tail(node)) and _NAME.fullmatch(text):
            yield text
        # All of a path counts, so that "c" of `a / "b" / "c"` is no file.
        waiting += [node.left] if text and isinstance(node, ast.BinOp) else ast.iter_child_nodes(node)


def _meant(name: str, folder: Path) -> Iterator[Path]:
    """The modules or files that a name in a module of ``folder`` stands for."""
    yield from _modules(name.partition(":")[0])
    if _FILE.fullmatch(name):
        yield from (file for place in (folder, *_PLACES) if (file := place / name).is_file())


def _tail(node: ast.expr) -> str:
    """``"known/gpus.yaml"`` of ``CONFIGS / "known" / "gpus.yaml"``; of a string, the string."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and (last := _tail(node.right)):
        first = _tail(node.left)
        return f"{first}/{last}" if first else last
    return ""


def _modules(name: str) -> Iterator[Path]:
    """A module, or the one that a dotted name is a name in, and the packages around it, which are run before it."""
    module = next((one for one in (name, name.rpartition(".")[0]) if "." in one and module_file(one)), "")
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        part = ".".join(parts[:count])
        if part not in ASIDE and (file := module_file(part)):
            yield file


def _included(path: Path) -> Iterator[Path]:
    """What a template extends, includes or imports."""
    from jinja2 import TemplateSyntaxError, meta

    from spine.prompts import environment, explained

    try:
        parsed = environment(path.parent).parse(path.read_text(encoding="utf-8"))
    except TemplateSyntaxError as error:
        raise explained(error, path.parent, path.name) from error
    for name in meta.find_referenced_templates(parsed):
        if name:
            yield from (file for place in (path.parent, *_PLACES) if (file := place / name).is_file())
