"""docs/troubleshooting.md quotes messages: each stands in the source word for word, so that a changed one is seen."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from spine.paths import ROOT
from tests.test_floors import HOUSE

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = re.findall(r"^\| `([^`]+)` \|", PAGE, re.M)
PLACE = "…"  # on the page, and here: what differs from case to case


def texts(tree: ast.AST) -> Iterator[str]:
    """Every text of a module but its docstrings, with PLACE for each value of an f-string."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in docstrings:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else PLACE for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@cache
def source() -> tuple[str, ...]:
    paths = [path for package in HOUSE for path in sorted((ROOT / package).rglob("*.py"))]
    found = [text for path in paths for text in texts(ast.parse(path.read_text(encoding="utf-8")))]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return (*found, re.sub(r"\$\([^()]*\)|\{\w[^{}]*\}", PLACE, makefile))


def is_said(message: str) -> bool:
    """Whether one text of the source holds it whole; where it ends in PLACE, the rest is put together elsewhere."""
    return any(message.removesuffix(PLACE).rstrip() in text for text in source())


@pytest.mark.parametrize("message", MESSAGES)
def test_the_source_says_so(message: str) -> None:
    assert is_said(message), f"no text in the source holds {message!r}"


def test_a_changed_message_would_be_seen() -> None:
    assert not is_said("the … environment is not installed yet")
    assert not is_said("groups of … do not divide the …")


def test_no_message_is_explained_twice_and_none_lacks_a_way_out() -> None:
    assert len(set(MESSAGES)) == len(MESSAGES) >= 25
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(rows) == len(MESSAGES)
    assert all(len(row.split("|")[2].strip()) > 30 for row in rows)
