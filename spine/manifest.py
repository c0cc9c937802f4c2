"""A step's folder ends with ``manifest.json``, written last: with it the step is done, without it, it is not."""

from __future__ import annotations

import hashlib
import json
import platform
import resource
import subprocess
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from spine.atomic import write_text
from spine.paths import ROOT

NAME = "manifest.json"
_PACKAGES = ("axolotl", "torch", "transformers", "peft", "tokenizers", "pyarrow", "jinja2")


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest(value: Any) -> str:
    """sha256 of a JSON value, in hex; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


@dataclass
class Step:
    """One run of one step. ``inputs`` is everything the result depends on, as JSON values (hashes of files)."""

    folder: Path
    name: str
    inputs: Mapping[str, Any]
    _began: float = field(default_factory=time.monotonic)

    @classmethod
    def in_cache(cls, place: Path, name: str, inputs: Mapping[str, Any]) -> Step:
        """A step in a folder of ``place`` that is called by its inputs: results of other inputs stay beside it."""
        return cls(place / cls(place, name, inputs).key[:16], name, inputs)

    @property
    def key(self) -> str:
        return digest({"step": self.name, **self.inputs})

    def is_done(self) -> bool:
        """Whether the folder holds this very result, every byte of it."""
        found = read(self.folder)
        return (
            found is not None
            and found.get("key") == self.key
            and all(intact(self.folder / name, known) for name, known in found.get("outputs", {}).items())
        )

    def finish(
        self, outputs: list[str], *, written_in: Path | None = None, sealed: Collection[str] = (), **facts: Any
    ) -> None:
        """Writes the manifest.

        Args:
            outputs: the files, relative to the folder, that later steps rely on.
            written_in: where they lie now, if the whole folder is about to be renamed to its place.
            sealed: those of them whose content another output vouches for (a model's shards, by checksums.json):
                only their sizes are looked at to see whether the step is done, which takes no minutes then.
            facts: whatever else is worth knowing, as JSON values.
        """
        folder = written_in or self.folder
        own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        manifest = {
            "step": self.name,
            "key": self.key,
            "inputs": self.inputs,
            **facts,
            "outputs": {
                name: {"bytes": (folder / name).stat().st_size}
                | ({} if name in sealed else {"sha256": file_digest(folder / name)})
                for name in outputs
            },
            "wall_seconds": round(time.monotonic() - self._began, 2),
            "peak_memory_mib": max(own.ru_maxrss, children.ru_maxrss) // 1024,
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "git_commit": _git_commit(),
            "versions": {"python": platform.python_version(), **_versions()},
        }
        write_text(folder / NAME, json.dumps(manifest, indent=2, default=str) + "\n")


def read(folder: Path) -> dict[str, Any] | None:
    """The manifest of a finished step; None when there is none or it is not JSON."""
    try:
        found = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def damaged(folder: Path) -> list[str]:
    """Files of a finished step that are not as it left them; none where there is no manifest."""
    outputs = (read(folder) or {}).get("outputs", {})
    return [name for name, known in outputs.items() if not intact(folder / name, known)]


def intact(path: Path, known: Mapping[str, Any]) -> bool:
    """Whether a file is as ``outputs`` of its folder's manifest says; of one without a hash, whether its size is."""
    if not path.is_file() or path.stat().st_size != known["bytes"]:
        return False
    return "sha256" not in known or file_digest(path) == known["sha256"]


def _git_commit() -> str | None:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return None
    return found.stdout.strip() or None


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # this environment does not hold it
    return found
