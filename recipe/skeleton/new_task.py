"""The files of a new dataset, to be filled in."""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path

from dataset_builders.task import Source
from spine.atomic import write_text
from spine.errors import RecipeError, did_you_mean
from spine.paths import PROMPTS, ROOT, shown
from spine.prompts import render
from spine.task_types import TaskType

SOURCES = tuple(name for name in typing.get_args(Source) if name != "own")
_TASKS = ROOT / "dataset_builders" / "tasks"
_TESTS = ROOT / "tests" / "dataset_builders" / "test_tasks.py"
_FACTS = re.compile(r"(?<=^FACTS = \{\n).*?(?=^\})", re.M | re.S)
_NAME = re.compile(r"[a-z][a-z0-9_]{2,49}")
_LISTED = {TaskType.MULTIPLE_CHOICE: "options", TaskType.RETRIEVAL: "items", TaskType.RANKING: "items"}
_HELPERS = {TaskType.MULTIPLE_CHOICE: "multiple_choice", TaskType.RETRIEVAL: "retrieval"}


def write_skeleton(name: str, kind: TaskType, source: str, track: int | None) -> list[Path]:
    """The builder, the wordings, and where the tests lie beside them a line of facts; the files that were written.

    Raises:
        RecipeError: no name for a dataset, no such source, or a file of that name is there.
    """
    if not _NAME.fullmatch(name):
        raise RecipeError(f"'{name}' is no name for a dataset", way_out="small letters, digits and _: title_language")
    if source not in SOURCES:
        raise RecipeError(f"no source '{source}'", where="--source", way_out=did_you_mean(source, SOURCES))
    task, words = _TASKS / f"{name}.py", PROMPTS / "tasks" / f"{name}.j2"
    if there := [path for path in (task, words) if path.exists()]:
        raise RecipeError("is there already", where=shown(there[0]), way_out="choose another name")
    readers = dict(_readers(source))
    (reader, fields), *_ = readers.items()
    helper = _HELPERS.get(kind)
    values = {
        "kind": kind, "source": source, "track": track, "helper": helper, "listed": _LISTED.get(kind),
        "shared": sorted(filter(None, (helper, "one_line", "product_entity"))),
        "readers": [line for one, columns in readers.items() for line in _told(f"{source}.{one}(raw, ...)", columns)],
        "reader": reader, "key": fields[0], "field": "title" if "title" in fields else fields[0],
    }  # fmt: skip
    folder = Path(__file__).parent
    write_text(task, render(folder, "task.py.j2", values))
    write_text(words, render(folder, "words.j2.j2", values))
    return [task, words, *_with_facts(name, kind, source, track)]


def _readers(source: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What a source's module reads: its functions that stream rows, with the fields of these."""
    module = importlib.import_module(f"dataset_builders.sources.{source}")
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__ == module.__name__ and next(iter(inspect.signature(function).parameters), "") == "raw":
            (row, *_) = typing.get_args(typing.get_type_hints(function)["return"]) or (None,)
            if fields := getattr(row, "_fields", None):
                yield name, fields


def _told(reader: str, columns: tuple[str, ...]) -> list[str]:
    return textwrap.wrap(f"{reader}: {', '.join(columns)}", 100, subsequent_indent="  ")


def _with_facts(name: str, kind: TaskType, source: str, track: int | None) -> Iterator[Path]:
    """The tests' file, with a line among its own, which are sorted."""
    if not _TESTS.exists():
        return
    text = _TESTS.read_text(encoding="utf-8")
    if (found := _FACTS.search(text)) is None:
        raise RecipeError("has no FACTS, where a dataset's line would stand", where=shown(_TESTS))
    line = f'    "{name}": ("{kind}", "{source}", {track}, None),'
    lines = sorted([*found[0].splitlines(), line])
    write_text(_TESTS, f"{text[: found.start()]}{chr(10).join(lines)}\n{text[found.end() :]}")
    yield _TESTS
