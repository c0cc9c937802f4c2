"""Reads README.md and docs/*.md as a user does: which commands they give, which files they have one write."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spine.paths import ROOT

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_ASSIGNED = re.compile(r"([A-Z_]+)=(.*)", re.S)
_PROGRAMS = r"make|recipe|axolotl(?= train| merge-lora)|curl|eval(?= \")|export|ray|hf|python|\S*\.venvs/\S+"
_COMMAND = re.compile(rf"(?:[A-Z_]+=\S+ )*(?:{_PROGRAMS}) ")
_NAME = re.compile(r"recipe [a-z-]+|recipe synth [a-z]+")
_FILE = re.compile(r"(?:# |\{# )(?P<path>(?:axolotl_configs|dataset_builders|prompts)/[\w/-]+\.\w+)(?:: .*|)$")


@dataclass(frozen=True)
class Command:
    """A command as a page gives it. ``program`` is ``make``, ``recipe``, or another; ``assigned`` stands before it.

    ``mentioned``: in the text, by its name alone: `recipe eval` answers.
    """

    page: str
    text: str
    mentioned: bool = False

    def __str__(self) -> str:
        return self.text

    @property
    def words(self) -> list[str]:
        """As a shell parts them, ``$'..'`` included."""
        unquoted = re.sub(r"\$'([^']*)'", lambda found: shlex.quote(found[1].replace("\\n", "\n")), self.text)
        return shlex.split(unquoted)

    @property
    def assigned(self) -> dict[str, str]:
        """``RAY_ADDRESS=head:6379 recipe ...``."""
        found = {}
        for word in self.words:
            if not (pair := _ASSIGNED.fullmatch(word)):
                break
            found[pair[1]] = pair[2]
        return found

    @property
    def program(self) -> str:
        return self.words[len(self.assigned)]

    @property
    def arguments(self) -> list[str]:
        return self.words[len(self.assigned) + 1 :]


@cache
def commands() -> tuple[Command, ...]:
    """Every command of every page, once. In blocks a command begins a line or stands behind two blanks, in a comment,
    too (``# recipe diff v8 v7    recipe show v8``); in the text it stands in backticks."""
    found: dict[str, Command] = {}
    for page in PAGES:
        for line in re.sub(r" \\\n +", " ", page.read_text(encoding="utf-8")).splitlines():
            block = line.startswith("    ")
            cells = re.split(r" {2,}", line.strip()) if block else re.findall(r"`([^`]+)`", line)
            for text in (cell.removeprefix("# ").partition(" # ")[0].strip() for cell in cells):
                if _COMMAND.match(text):
                    found.setdefault(text, Command(page.name, text, not block and _NAME.fullmatch(text) is not None))
    return tuple(found.values())


@cache
def files() -> dict[str, str]:
    """What the pages have a user write: path -> content. A block says in its first line where it belongs; it ends where
    the text goes on, or where another file begins."""
    found: dict[str, str] = {}
    for page in PAGES:
        path = None
        for line in page.read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("    "):
                path = None
            elif begins := _FILE.fullmatch(line.strip()):
                path = begins["path"]
                assert path not in found, f"{page.name} writes {path}, which another page writes"
                found[path] = ""
            if path:
                found[path] += line[4:] + "\n"
    return {path: text.strip() + "\n" for path, text in found.items()}


def walk(page: Path) -> list[Command | str]:
    """What a page has its reader do, in its order and behind its first heading: files to write, commands to type."""
    found: list[Command | str] = []
    _, _, text = page.read_text(encoding="utf-8").partition("\n## ")
    in_file = False
    for line in text.splitlines():
        if begins := _FILE.fullmatch(line.strip()):
            in_file = True
            found.append(begins["path"])
        elif line and not line.startswith("    "):
            in_file = False
        elif not in_file and _COMMAND.match(line.strip()):
            found.append(Command(page.name, line.strip().partition(" # ")[0].strip()))
    return found


def write_files(folder: Path, names: Iterable[str] | None = None) -> None:
    """All of them, or those of ``names``, into a copy of the repository."""
    for name in files() if names is None else names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files()[name], encoding="utf-8")
