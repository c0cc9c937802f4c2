"""What is known of a source's published files: where they are, how large they are, what their licence asks for.

The facts lie in ``sources.yaml``, each source under the name of its reader in ``dataset_builders/sources``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spine.yamlfile import read_yaml

HUB = "https://huggingface.co"
_UNITS = ("B", "kB", "MB", "GB", "TB")
# Licences that let rows be passed on under their conditions, as the hub spells them in a card.
_OPEN = {"apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "odc-by"}
_OPEN |= {f"cc-{conditions}-4.0" for conditions in ("by", "by-sa", "by-nc", "by-nc-sa")}
_CONDITIONS = {"by": "name its authors", "nc": "not for commercial use", "sa": "under the same licence only"}


@dataclass(frozen=True, slots=True)
class Licence:
    """``accept`` says that nothing is fetched before the user agrees to ``limits``.

    What else it means for who publishes something made of the rows follows from its name: an open licence, a contest's
    rules, or none.
    """

    name: str
    url: str  # where to read it
    accept: bool = False
    limits: str = ""

    @property
    def hub(self) -> str:
        """Its name on the Hugging Face hub; ``other`` for what the hub has no name for."""
        return slug if (slug := self.name.lower().replace(" ", "-")) in _OPEN else "other"

    @property
    def passing_on(self) -> bool:
        """Whether it lets rows be passed on. Open licences do; rules and the lack of a licence do not."""
        return self.hub != "other"

    @property
    def commercial(self) -> bool:
        """Whether it lets what is made of the rows be sold."""
        return self.passing_on and "-nc" not in self.hub

    @property
    def asks(self) -> str:
        """Its conditions in words; empty where it asks for no more than its notice."""
        if self.limits or not self.passing_on:
            return self.limits or "no open licence: read it before you pass anything on"
        return ", ".join(_CONDITIONS[part] for part in self.hub.split("-") if part in _CONDITIONS)


@dataclass(frozen=True, slots=True)
class File:
    """One published file. The last part of its URL is its published name; ``path`` is where the reader looks for it.

    Attributes:
        path: below the source's folder.
        url: where it is published; None where only a person with an account gets it.
        size: bytes, for planning; what the server says is what counts.
        sha256: None where nobody tells it beforehand; the hub's servers do when they are asked.
        estimated: ``size`` is reckoned from other figures.
    """

    path: str
    url: str | None
    size: int | None = None
    sha256: str | None = None
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """``by_hand`` is what a person does to get the files that have no URL."""

    title: str
    home: str
    licence: Licence
    files: tuple[File, ...]
    by_hand: str = ""


def _published(
    title: str, home: str, licence: Mapping[str, Any], files: Mapping[str, Any], at: str = "", by_hand: str = ""
) -> Published:
    """One source as the YAML has it."""
    listed = tuple(_file(path, at, **known) for path, known in files.items())
    return Published(title, home, Licence(**licence), listed, by_hand)


def _file(
    path: str,
    at: str,
    published_as: str = "",
    size: int | None = None,
    about_mb: float | None = None,
    sha256: str | None = None,
) -> File:
    url = f"{at}/{published_as or path}" if at else None
    if about_mb is None:
        return File(path, url, size, sha256)
    return File(path, url, round(1e6 * about_mb), sha256, estimated=True)


SOURCES: dict[str, Published] = {
    name: _published(**facts) for name, facts in read_yaml(Path(__file__).with_name("sources.yaml")).data.items()
}


def in_words(size: float | None, estimated: bool = False) -> str:
    """``51_286_808`` as ``51.3 MB``; ``?`` where nobody knows."""
    if size is None:
        return "?"
    power = 0
    while size >= 999.5 and power < len(_UNITS) - 1:
        size, power = size / 1000, power + 1
    return f"{'about ' if estimated else ''}{size:.{1 if power else 0}f} {_UNITS[power]}"


def total(files: tuple[File, ...]) -> str:
    """The size of all of them, in words."""
    known = [file.size for file in files if file.size is not None]
    if len(known) < len(files):
        return f"over {in_words(sum(known))}" if known else "?"
    return in_words(sum(known), any(file.estimated for file in files))
