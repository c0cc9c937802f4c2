"""Fetches published files to where the readers look for them: every question first, then the bytes.

A file is called ``NAME.part`` until it is whole and its sha256 is right, so a kill costs nothing. ``fetched.json``
keeps what each file was when it came, so that a later run can tell whether it still is.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from dataset_builders.published import transfer
from dataset_builders.published.sources import File, Published, in_words
from dataset_builders.published.transfer import CHUNK, Broken, Part, Remote, ask, disk_explained
from spine.atomic import write_text
from spine.checkpoint import read_json
from spine.errors import RecipeError, did_you_mean
from spine.lock import locked
from spine.paths import shown

MANIFEST = "fetched.json"
PAUSES = (1.0, 3.0, 10.0, 30.0)  # seconds before each new try; one that brought more bytes starts them anew
Report = Callable[[int, int | None, str], None]  # bytes done, of how many, of which file


class Target(NamedTuple):
    """One file to be at ``path``."""

    name: str  # esci/shopping_queries_dataset_examples.parquet
    source: Published
    file: File
    path: Path


class Outcome(NamedTuple):
    """What became of one file: ``how`` is "there already", "fetched" or "resumed"."""

    name: str
    size: int
    sha256: str
    how: str


def fetch(
    sources: Mapping[str, Published],
    out: Path,
    *,
    only: Collection[str] = (),
    accepted: bool = False,
    token: str | None = None,
    report: Report = lambda done, total, name: None,
) -> list[Outcome]:
    """Has the files of ``sources`` in ``out``, one folder a source; those that lie there are verified, not fetched.

    Args:
        sources: name -> what is known of its files, as in ``SOURCES``.
        out: the folder that ``DATA=`` names later.
        only: which files; see ``choose``.
        accepted: the user agrees to the licences that ask for it.
        token: for files of the hub that are given to known accounts only.
        report: is told of every chunk.

    Raises:
        RecipeError: before the first byte wherever that is possible.
    """
    targets = choose(sources, out, only)
    _check_licences({target.source for target in targets}, accepted)
    with disk_explained(out), locked(out), transfer.session(token) as client:
        record, progress = _Record(out / MANIFEST), _Progress(targets, report)
        there = {target.name: _there(target, record.entries.get(target.name, {}), None, progress) for target in targets}
        missing = [target for target in targets if there[target.name] is None]
        _check_by_hand(missing)
        remotes = _ask_all(client, missing, progress)
        for target in missing:
            there[target.name] = _there(target, {}, remotes[target.name], progress)
        missing = [target for target in missing if there[target.name] is None]
        _check_space(out, [(target, remotes[target.name]) for target in missing])
        for target in targets:
            outcome = there[target.name] or _download(client, target, remotes[target.name], record, progress)
            there[target.name] = outcome
            record.finish(target, outcome)
    return [outcome for outcome in there.values() if outcome]


def choose(sources: Mapping[str, Published], out: Path, only: Collection[str]) -> list[Target]:
    """The files whose path matches one of the patterns ``only``; one without a wildcard may be any part of a path.

    Raises:
        RecipeError: a pattern matches none.
    """
    files = [(name, source, file) for name, source in sources.items() for file in source.files]
    for pattern in only:
        if not any(_matches(file.path, pattern) for _, _, file in files):
            stems = {Path(file.path).name.partition(".")[0].removeprefix("meta_") for _, _, file in files}
            raise RecipeError(f"--only {pattern}: no file matches", way_out=did_you_mean(pattern, stems))
    return [
        Target(f"{name}/{path.relative_to(out / name)}", source, file, path)
        for name, source, file in files
        if not only or any(_matches(file.path, pattern) for pattern in only)
        for path in [_place(out / name, file)]
    ]


def _matches(path: str, pattern: str) -> bool:
    return fnmatch(path, pattern if set("*?[") & set(pattern) else f"*{pattern}*")


def _place(folder: Path, file: File) -> Path:
    """Where the file belongs; of one that is put there by hand, the reader takes other endings too."""
    path = folder / file.path
    if file.url is None and not path.exists():
        others = (p for p in sorted(path.parent.glob(f"{path.name.partition('.')[0]}.*")) if p.suffix != ".part")
        return next(others, path)
    return path


def _check_licences(sources: Collection[Published], accepted: bool) -> None:
    asking = [] if accepted else [source for source in sources if source.licence.accept]
    faults = [
        RecipeError(
            f"{source.title}: the licence is {source.licence.name}; {source.licence.limits}",
            way_out=f"read {source.licence.url}; if you agree, add --accept-licence",
        )
        for source in sorted(asking, key=lambda source: source.title)
    ]
    if faults:
        raise RecipeError.all_of(faults)


def _check_by_hand(missing: Sequence[Target]) -> None:
    absent = [target for target in missing if target.file.url is None]
    if absent:
        raise RecipeError(
            f"{' and '.join(target.path.name for target in absent)} must be fetched by hand",
            where=shown(absent[0].path.parent),
            way_out=f"{absent[0].source.by_hand}\n     then put them into this folder, and run the same command again",
        )


def _there(target: Target, entry: Mapping[str, Any], remote: Remote | None, progress: _Progress) -> Outcome | None:
    """The file that lies there, verified; None when there is none, or when only the server can tell what it should be.

    Raises:
        RecipeError: it is another file; a user's file is never overwritten.
    """
    expected = target.file.sha256 or entry.get("sha256") or (remote and remote.sha256)
    if not target.path.is_file() or not (expected or remote or target.file.url is None):
        return None
    digest, size = hashlib.sha256(), 0
    with target.path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            progress.at(target, size)
    same = digest.hexdigest() == expected if expected else remote is None or size == remote.size
    if not same:
        raise RecipeError(
            f"this is not the published file: sha256 {digest.hexdigest()}, {in_words(size)}; expected "
            f"{expected or in_words(remote.size if remote else None)}",
            where=shown(target.path),
            way_out=f"rm {shown(target.path)}, and run the same command again",
        )
    return Outcome(target.name, size, digest.hexdigest(), "there already")


def _ask_all(client: httpx.Client, missing: Sequence[Target], progress: _Progress) -> dict[str, Remote]:
    """What the servers say of the files; a source that is refused is asked once, and all refusals are told at once."""
    remotes: dict[str, Remote] = {}
    faults: dict[str, RecipeError] = {}
    for target in missing:
        if target.file.url is None or target.source.title in faults:
            continue
        progress.at(target, 0)
        try:
            remotes[target.name] = remote = ask(client, target.file.url, target.source.home)
            if target.file.sha256 and remote.sha256 not in (None, target.file.sha256):
                what = f"the server has another file than the one this recipe knows: sha256 {remote.sha256}"
                raise RecipeError(what, where=target.file.url, way_out=f"see {target.source.home} for what has changed")
        except RecipeError as fault:
            faults[target.source.title] = fault
        else:
            progress.learn(target, remote.size)
    if faults:
        raise RecipeError.all_of(list(faults.values()))
    return remotes


def _check_space(out: Path, missing: Sequence[tuple[Target, Remote]]) -> None:
    needed = 0
    for target, remote in missing:
        part = target.path.with_name(f"{target.path.name}.part")
        needed += (remote.size or target.file.size or 0) - (part.stat().st_size if part.exists() else 0)
    free = shutil.disk_usage(out).free
    if needed > free:
        raise RecipeError(
            f"{in_words(needed)} are to come, {in_words(free)} are free",
            where=shown(out),
            way_out="make room, choose files (--only), or take another disk (--out /big/disk)",
        )


def _download(client: httpx.Client, target: Target, remote: Remote, record: _Record, progress: _Progress) -> Outcome:
    expected = target.file.sha256 or remote.sha256
    begun = {"url": target.file.url, "size": remote.size, "etag": expected or remote.etag}
    same = record.entries.get(target.name) == begun  # else what lies there is part of an older file
    record.note(target.name, begun)
    with Part(target.path, keep=same) as part:
        how = "resumed" if part.size else "fetched"
        _complete(client, target, remote, part, progress)
        if part.sha256 != (expected or part.sha256) or part.size != (remote.size or part.size):
            part.path.unlink()
            raise RecipeError(
                f"what came is not the file: {part.size:,} bytes, sha256 {part.sha256}; "
                f"expected {remote.size or part.size:,} bytes{f', sha256 {expected}' if expected else ''}",
                where=target.file.url,
                way_out="it was removed; run the same command again",
            )
        part.keep_as(target.path)
    return Outcome(target.name, part.size, part.sha256, how)


def _complete(client: httpx.Client, target: Target, remote: Remote, part: Part, progress: _Progress) -> None:
    """Receives until all is there, over as many connections as that takes, if only each brings some more."""
    assert target.file.url is not None
    failures = 0
    while part.size != remote.size:
        before = part.size
        try:
            transfer.receive(client, target.file.url, target.source.home, part, lambda size: progress.at(target, size))
            if remote.size is None or part.size >= remote.size:
                return
            raise Broken(f"the file ends there, {in_words(remote.size)} were announced")
        except Broken as broken:
            failures = 1 if part.size > before else failures + 1
            if failures > len(PAUSES):
                what = f"given up when {in_words(part.size)} had come: {broken}"
                raise transfer.given_up(what, target.file.url) from broken
            pause = PAUSES[failures - 1]
            progress.at(target, part.size, f"{broken}; again in {pause:.0f} s")
            time.sleep(pause)


class _Record:
    """``fetched.json``: url, size, sha256 and day of each file; of one on its way what the server said of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.entries: dict[str, Any] = read_json(path) if path.exists() else {}
            if not all(isinstance(entry, dict) for entry in self.entries.values()):
                raise RecipeError("holds something else than a record of files", where=shown(path))
        except RecipeError as error:
            way_out = f"rm {shown(path)}: the files themselves are verified again"
            raise RecipeError(error.what, where=error.where, way_out=way_out) from error

    def note(self, name: str, entry: Mapping[str, Any]) -> None:
        if self.entries.get(name) != entry:
            self.entries[name] = entry
            write_text(self.path, json.dumps(self.entries, indent=2, sort_keys=True) + "\n")

    def finish(self, target: Target, outcome: Outcome) -> None:
        if self.entries.get(target.name, {}).get("sha256") != outcome.sha256:
            entry = {"url": target.file.url, "size": outcome.size, "sha256": outcome.sha256}
            self.note(target.name, entry | {"day": date.today().isoformat()})


class _Progress:
    """Bytes over all files: a file's share grows while it is read, learnt of, or received."""

    def __init__(self, targets: Sequence[Target], report: Report) -> None:
        self.report = report
        self.sizes: dict[str, int | None] = {target.name: target.file.size for target in targets}
        self.done = dict.fromkeys(self.sizes, 0)

    def learn(self, target: Target, size: int | None) -> None:
        self.sizes[target.name] = size or self.sizes[target.name]

    def at(self, target: Target, size: int, news: str = "") -> None:
        """``target`` has come to ``size`` bytes."""
        self.done[target.name] = size
        total = None if None in self.sizes.values() else sum(size or 0 for size in self.sizes.values())
        self.report(sum(self.done.values()), total, f"{target.name}: {news}" if news else target.name)
