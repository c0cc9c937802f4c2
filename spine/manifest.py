"""A step's folder ends with ``manifest.json``, written last: with it the step is done, without it, it is not."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from spine import pieces
from spine.atomic import write_text
from spine.errors import RecipeError
from spine.paths import ROOT, shown

NAME = "manifest.json"
NEVER = "never run"
_NAMED = 2  # reasons that are told of many
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
        return not self.why()

    def why(self) -> str:
        """Why there is something to do, for a person: what is damaged, or the inputs that are not those of the result
        in the folder; "" if there is nothing. Files that were touched since are read, once.
        """
        known = read(self.folder)
        if known is None:
            return NEVER
        if bad := damaged(self.folder):
            return f"damaged or gone: {_listed(bad)}"
        if known.get("key") == self.key:
            return ""
        then, now = dict(_leaves(known.get("inputs"))), dict(_leaves(json.loads(_json(self.inputs))))
        changed = [path for path in then | now if then.get(path) != now.get(path)]
        return f"changed: {_grouped(changed)}" if changed else "another step left it"

    def finish(
        self, outputs: list[str], *, written_in: Path | None = None, sealed: Collection[str] = (), **facts: Any
    ) -> None:
        """Writes the manifest.

        Args:
            outputs: the files, relative to the folder, that later steps rely on.
            written_in: where they lie now, if the whole folder is about to be renamed to its place.
            sealed: those of them whose content another output vouches for (a model's shards, by ``spine.pieces``).
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
            "mtimes": {name: (folder / name).stat().st_mtime_ns for name in outputs},
            "wall_seconds": round(time.monotonic() - self._began, 2),
            "peak_memory_mib": max(own.ru_maxrss, children.ru_maxrss) // 1024,
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "git_commit": _git_commit(),
            "versions": {"python": platform.python_version(), **_versions()},
        }
        write_text(folder / NAME, _json(manifest, indent=2) + "\n")


def read(folder: Path) -> dict[str, Any] | None:
    """The manifest of a finished step; None when there is none, or what there is says nothing that a step would."""
    try:
        found = json.loads((folder / NAME).read_text(encoding="utf-8"))
        texts, tables = (found["step"], found["key"]), (found["inputs"], found["outputs"], found["mtimes"])
        sizes = [output["bytes"] for output in found["outputs"].values()]
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    sound = all(isinstance(text, str) for text in texts) and all(isinstance(table, dict) for table in tables)
    return found if sound and all(isinstance(size, int) for size in sizes) else None


def refuse_foreign(folder: Path, step: str) -> None:
    """Refuses to replace what ``step`` has not written.

    Raises:
        RecipeError: ``folder`` is a file, or holds files and no manifest of that step.
    """
    if folder.exists() and not folder.is_dir():
        raise RecipeError("is a file, not a folder", where=shown(folder))
    if folder.is_dir() and any(folder.iterdir()) and (read(folder) or {}).get("step") != step:
        way_out = "choose an empty folder"
        if (folder / NAME).is_file() and read(folder) is None:
            way_out += f"; {NAME} is damaged: if {step} wrote the folder, rm -r {shown(folder)}"
        raise RecipeError(f"holds files that are no result of {step}", where=shown(folder), way_out=way_out)


def damaged(folder: Path) -> list[str]:
    """Files of a finished step that are not as it left them; none where there is no manifest.

    What has the size and the time that it was left with is taken to be whole. All else is read, and where its content
    proves to be the same, the manifest is told its new time.
    """
    known = read(folder) or {}
    outputs, mtimes = known.get("outputs", {}), known.get("mtimes", {})
    stats = {name: _stat(folder / name) for name in outputs}
    whole = {name: stat for name, stat in stats.items() if stat and stat.st_size == outputs[name]["bytes"]}
    bad = [name for name in outputs if name not in whole]
    touched = [name for name, stat in whole.items() if stat.st_mtime_ns != mtimes.get(name)]
    if not touched:
        return bad
    print(f"reading {_listed(touched)} of {shown(folder)}, touched since", file=sys.stderr, flush=True)
    bad += _not_as_written(folder, touched, outputs)
    now = {name: stat.st_mtime_ns for name, stat in whole.items() if name not in bad}
    with suppress(OSError):  # a folder that is not ours to write in
        write_text(folder / NAME, _json({**known, "mtimes": now}, indent=2) + "\n")
    return bad


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat() if path.is_file() else None
    except OSError:
        return None


def _not_as_written(folder: Path, names: Sequence[str], outputs: Mapping[str, Any]) -> list[str]:
    """By the hashes in the manifest; a model's shards, which have none there, by the sums of their pieces."""
    sealed = {name for name in names if "sha256" not in outputs[name]}
    bad = [name for name in names if name not in sealed and file_digest(folder / name) != outputs[name]["sha256"]]
    if sealed and (folder / pieces.SUMS).exists() and pieces.SUMS not in bad:
        from spine.progress import Meter

        with Meter("reading", "MB") as meter:
            found = pieces.broken(folder, lambda done, total: meter.update(done // 10**6, total // 10**6, folder.name))
        bad += sorted({piece.file for piece in found} & sealed)
    return bad


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What is not a mapping, by the keys on the way to it."""
    if not isinstance(value, Mapping):
        yield path, value
        return
    for key, inner in value.items():
        yield from _leaves(inner, (*path, str(key)))


def _grouped(paths: Sequence[tuple[str, ...]]) -> str:
    """``("code", "a.py")``, ``("code", "b.py")`` as ``code (a.py and 1 more)``."""
    keys: dict[str, list[str]] = {}
    for path in paths:
        keys.setdefault(path[0] if path else "inputs", []).extend([" ".join(path[1:])] if path[1:] else [])
    more = {part: f" and {len(inner) - 1} more" if len(inner) > 1 else "" for part, inner in keys.items()}
    return _listed([f"{part} ({inner[0]}{more[part]})" if inner else part for part, inner in keys.items()])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, default=str)


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
