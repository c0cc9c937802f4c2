"""YAML that remembers its lines, so that every complaint can name one."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from spine.errors import RecipeError, unreadable
from spine.paths import shown

Address = tuple[str | int, ...]
_SHOWN = 200  # letters of a value that is none


@dataclass(frozen=True)
class YamlFile:
    """A parsed file: plain Python values, and the line (1-based) of every key and list item by its address.

    ``under``: the file that this one includes, if its values stand among ``data`` (see ``over``).
    """

    path: Path
    data: dict[str, Any]
    lines: Mapping[Address, int]
    under: YamlFile | None = None

    def line(self, *address: str | int) -> int:
        """The line of the deepest known part of ``address``."""
        return self.lines.get(self._known(address), 1)

    def where(self, *address: str | int) -> str:
        """``file:line`` of the deepest known part of ``address``; the including file wins over the included one."""
        if self.under and len(self._known(address)) < len(self.under._known(address)):
            return self.under.where(*address)
        return f"{shown(self.path)}:{self.line(*address)}"

    def over(self, under: YamlFile) -> YamlFile:
        """This file laid over another: sections are merged key by key, everything else is replaced."""
        return replace(self, data=_merged(under.data, self.data), under=under)

    def _known(self, address: Address) -> Address:
        while address and address not in self.lines:
            address = address[:-1]
        return address


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: _merged(under[key], over[key])
        for key in under.keys() & over.keys()
        if isinstance(under[key], Mapping) and isinstance(over[key], Mapping)
    }
    return {**under, **over, **both}


def _yaml() -> YAML:
    yaml = YAML(pure=True)  # round-trip: the only loader of ruamel that keeps positions
    yaml.width = 4096
    yaml.representer.add_representer(float, _with_a_dot)
    return yaml


def _with_a_dot(representer: Any, value: float) -> Any:
    """YAML 1.1, which axolotl reads, takes ``1e-05`` for a string and ``1.0e-05`` for a number."""
    text = repr(value)
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    return representer.represent_scalar("tag:yaml.org,2002:float", text)


def parse(text: str, path: Path) -> CommentedMap:
    """The round-trip form of ``text``, whose root must be a mapping; ``path`` is for messages."""
    try:
        root = _loaded(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{shown(path)}:{mark.line + 1}" if mark else shown(path)
        raise RecipeError(f"not valid YAML: {error.problem}", where=where) from error
    except (YAMLError, ValueError) as error:
        line = f":{error.line}" if isinstance(error, _Strange) and error.line else ""
        raise RecipeError(f"not valid YAML: {error}", where=f"{shown(path)}{line}") from error
    if not isinstance(root, CommentedMap):
        raise RecipeError("holds no mapping of keys to values", where=shown(path))
    return root


def read_yaml(path: Path) -> YamlFile:
    """Reads one file.

    Raises:
        RecipeError: missing, not UTF-8, not YAML (duplicate keys included), or not a mapping.
    """
    try:
        root, lines = _located(path.read_text(encoding="utf-8"), path)
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"not UTF-8 text: {error.reason}", where=shown(path)) from error
    return YamlFile(path, plain(root), lines)


@lru_cache(maxsize=64)
def _located(text: str, path: Path) -> tuple[CommentedMap, Mapping[Address, int]]:
    """A file's content with its lines; kept, for it takes 10 ms a page and a walk reads each file many times."""
    root = parse(text, path)
    return root, dict(_lines(root, ()))


def read_lists(path: Path) -> Any:
    """The values of one of the program's own word lists and tables, which need no lines: a tenth of the time."""
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def parse_scalar(text: str) -> Any:
    """``text`` as YAML 1.2 reads a value: ``1e-4`` is a number, ``true`` a bool, ``[a, b]`` a list."""
    try:
        return plain(_loaded(text))
    except (YAMLError, ValueError) as error:
        why = f": {error}" if isinstance(error, _Strange) else ""
        raise RecipeError(f"'{text[:_SHOWN]}' is not a YAML value{why}") from error


class _Strange(ValueError):
    """YAML that says more than a settings file may; ``line``: 0 where there is none."""

    line = 0


def _loaded(text: str) -> Any:
    """The round-trip form of mappings, lists and plain values. Every YAML text of somebody else's comes in here.

    Raises:
        YAMLError, ValueError: it is no YAML, or YAML with tags, merge keys, an alias of more than a plain value (nine
            lines of them stand for gigabytes), more levels than Python reads, or a number beyond 64 bits.
    """
    try:
        root = _yaml().load(text)
    except (YAMLError, ValueError):
        raise
    except Exception as error:  # ruamel trips over `!!omap 1`, `!!int`, 3,000 brackets, each in another way
        raise _Strange("tags or levels of lists that no settings need") from error
    _refuse_strange(root, (), 0, set())
    return root


def _refuse_strange(node: Any, address: Address, line: int, seen: set[int]) -> None:
    if what := _strange(node, seen):
        error = _Strange(f"{'.'.join(map(str, address))}: {what}" if address else what)
        error.line = line
        raise error
    if not isinstance(node, CommentedMap | CommentedSeq):
        return
    seen.add(id(node))
    for key, inner in list(node.items() if isinstance(node, CommentedMap) else enumerate(node)):
        if isinstance(node, CommentedMap):
            at = node.lc.key(key)[0] + 1
            _refuse_strange(key, address, at, seen)
        else:
            at = node.lc.item(key)[0] + 1
        _refuse_strange(inner, (*address, key), at, seen)


def _strange(node: Any, seen: set[int]) -> str | None:
    if isinstance(node, int) and abs(node) >= 2**63:
        return "a number beyond 64 bits"
    if isinstance(node, float) and not math.isfinite(node):
        return "a number that is none (inf, nan)"
    if node is None or isinstance(node, bool | int | float | str | date):
        return None
    if type(node) not in (CommentedMap, CommentedSeq) or getattr(node.tag, "value", None):
        return "a value with a tag (!...)"
    if id(node) in seen:
        return "an alias (*name) that stands for more than a plain value; write it out"
    return "a merge key (<<); write the keys out" if getattr(node, "merge", None) else None


def plain(node: Any) -> Any:
    """Round-trip nodes as plain dict, list, str, int, float, bool, None."""
    if isinstance(node, Mapping):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(item) for item in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def dump(root: CommentedMap) -> str:
    """YAML text with its comments, readable by YAML 1.1 parsers (axolotl's) with the same values."""
    out = io.StringIO()
    _yaml().dump(root, out)
    return out.getvalue()


def _lines(node: Any, address: Address) -> Iterator[tuple[Address, int]]:
    if isinstance(node, CommentedMap):
        for key, value in node.items():
            yield (*address, key), node.lc.key(key)[0] + 1
            yield from _lines(value, (*address, key))
    elif isinstance(node, CommentedSeq):
        for index, value in enumerate(node):
            yield (*address, index), node.lc.item(index)[0] + 1
            yield from _lines(value, (*address, index))
