"""A graph of stages: which are stale and why, and walking it until none is. Knows nothing of models or data.

A stage is fresh while all that it depends on, and every file that it left, is as it was when it was done. That is
decided from a record, ``graph.json``, and from sizes and times of files: a walk with nothing to do takes no time. A
stage's command skips by itself what is done, so one stage too many costs its start-up and no more.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spine import manifest
from spine.atomic import write_text
from spine.errors import RecipeError
from spine.manifest import digest
from spine.paths import shown
from spine.progress import Meter

Say = Callable[[str], None]
RECORD = "graph.json"
_NAMED = 2  # reasons that are told of many


@dataclass(frozen=True)
class Stage:
    """One command and what it leaves.

    Attributes:
        name: its first word is the kind of work.
        command: as it is typed.
        outputs: folders that end with a manifest.
        needs: the stages whose outputs it reads.
        inputs: what it depends on besides, by the name that a person has for it: JSON values; a mapping's keys count
            one by one.
        grows: its results grow in their folder, beside what a resume starts from; else the folder is written whole.
        about: what tells it from others of its kind (a blend).
        work: how much there is to do, beside others of its kind (steps, questions).
    """

    name: str
    command: tuple[str, ...]
    outputs: tuple[Path, ...]
    needs: tuple[str, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    grows: bool = False
    about: str = ""
    work: float = 1.0

    @property
    def kind(self) -> str:
        return self.name.split()[0]


@dataclass(frozen=True)
class Verdict:
    """Why a stage would run: "" if it would not. ``damaged``: in their folders, files that are not as it left them."""

    reason: str = ""
    damaged: tuple[tuple[Path, str], ...] = ()


@dataclass(frozen=True)
class Done:
    """A stage as it was when it was done: digests of what it depended on and of what came out; files' sizes and times.

    ``seconds``: what its command took when it last had something to do.
    """

    inputs: Mapping[str, str]
    result: str
    seconds: float
    files: Mapping[str, Mapping[str, Sequence[int]]]  # by folder


class Record:
    """``graph.json``: the stages that are done. A broken file is an empty one. ``keep``: write what is found out."""

    def __init__(self, path: Path, *, keep: bool = True) -> None:
        self._path, self._keep, self._done = path, keep, dict[str, Done]()
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            self._done = {name: Done(**known) for name, known in found["stages"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self._done = {}

    def inputs(self, stage: Stage, graph: Mapping[str, Stage]) -> dict[str, str]:
        """A digest of everything that ``stage`` depends on, by name."""
        parts = {"the command": digest(stage.command)}
        for name, value in stage.inputs.items():
            several = isinstance(value, Mapping)
            parts |= {f"{name}: {key}": digest(one) for key, one in value.items()} if several else {name: digest(value)}
        return parts | {need: _result(graph[need]) for need in stage.needs}

    def judge(self, stage: Stage, graph: Mapping[str, Stage], say: Say) -> Verdict:
        """Whether ``stage`` is fresh; the stages it needs are. Files whose time has changed are read."""
        known = self._done.get(stage.name)
        if known is None:
            there = all(manifest.read(folder) for folder in stage.outputs)
            return Verdict("not recorded here yet" if there else "never run")
        unfinished = [(folder, manifest.NAME) for folder in stage.outputs if manifest.read(folder) is None]
        if damaged := unfinished or (self._damaged(stage, known, say) if _result(stage) == known.result else []):
            what = _listed([name for _, name in damaged])
            return Verdict(f"damaged or gone: {what}", tuple(damaged))
        if _result(stage) != known.result:
            return Verdict("another result lies there than this command left")
        now = self.inputs(stage, graph)
        changed = [name for name in now | dict(known.inputs) if now.get(name) != known.inputs.get(name)]
        return Verdict(f"changed: {_grouped(changed)}" if changed else "")

    def _damaged(self, stage: Stage, known: Done, say: Say) -> list[tuple[Path, str]]:
        """Files that are gone, or whose content is not what their folder's manifest says."""
        bad, stamps = list[tuple[Path, str]](), _stamps(stage)
        for folder in stage.outputs:
            now, then = stamps[str(folder)], known.files.get(str(folder), {})
            touched = [name for name, stamp in now.items() if stamp != then.get(name) and name != manifest.NAME]
            if there := [name for name in touched if now[name]]:
                say(f"{stage.name}: reading {_listed(there)} of {shown(folder)}, touched since")
            bad += [(folder, name) for name in _not_as_written(folder, touched)]
        if not bad and stamps != known.files:
            self._write(stage.name, replace(known, files=stamps))  # so that they are read but once
        return bad

    def seconds(self, stage: Stage) -> float | None:
        """What the stage took."""
        known = self._done.get(stage.name)
        return known.seconds if known else None

    def add(self, stage: Stage, inputs: Mapping[str, str], seconds: float) -> None:
        """``stage`` is done, in so many ``seconds``; ``inputs`` as they were before it began.

        Raises:
            RecipeError: it left no manifest.
        """
        for folder in stage.outputs:
            if manifest.read(folder) is None or not all(_stamp(folder / name) for name in _files(folder)):
                raise RecipeError(f"{stage.name} ended well, but it did not finish this folder", where=shown(folder))
        known, result = self._done.get(stage.name), _result(stage)
        if known and known.result == result:  # it had nothing to do
            seconds = max(seconds, known.seconds)
        self._write(stage.name, Done(inputs, result, round(seconds, 2), _stamps(stage)))

    def _write(self, name: str, done: Done) -> None:
        self._done[name] = done
        if self._keep:
            stages = {name: vars(done) for name, done in self._done.items()}
            write_text(self._path, json.dumps({"stages": stages}, indent=1) + "\n")


def plan(stages: Sequence[Stage], record: Record, say: Say) -> list[tuple[Stage, Verdict]]:
    """Every stage with the reason for which it would run; behind a stale one a stage may turn out to be fresh."""
    graph, stale, found = {stage.name: stage for stage in stages}, set[str](), []
    for stage in stages:
        waiting = [need for need in stage.needs if need in stale]
        verdict = Verdict(f"after {waiting[-1]}") if waiting else record.judge(stage, graph, say)
        stale |= {stage.name} if verdict.reason else set()
        found.append((stage, verdict))
    return found


def walk(make: Callable[[], Sequence[Stage]], record: Record, run: Callable[[Stage, str], None], say: Say) -> int:
    """Runs the first stale stage until there is none; returns how many ran.

    Args:
        make: the stages as things are now, each behind those it needs. Asked before every stage: a blend may have been
            edited, a sweep may have found other weights.
        run: given the stage, and in words where it stands and why it runs.

    Raises:
        RecipeError: a stage failed, or is stale again although nothing has changed.
    """
    ran = dict[str, dict[str, str]]()
    while True:
        stages = make()
        graph = {stage.name: stage for stage in stages}
        number, stage, verdict = next(_stale(stages, record, graph, say), (0, None, Verdict()))
        if stage is None:
            return len(ran)
        inputs = record.inputs(stage, graph)
        if ran.get(stage.name) == inputs:
            what = f"{stage.name} has run, and is not up to date: {verdict.reason}"
            raise RecipeError(what, where=shown(stage.outputs[0]))
        if stage.name in ran:
            say(f"{stage.name} once more: {verdict.reason} while this was running")
        ran[stage.name] = inputs
        _clear(stage, verdict.damaged, say)
        began = time.monotonic()
        run(stage, f"[{number}/{len(stages)}] {stage.name} ({verdict.reason})")
        record.add(stage, inputs, time.monotonic() - began)


def _stale(
    stages: Sequence[Stage], record: Record, graph: Mapping[str, Stage], say: Say
) -> Iterator[tuple[int, Stage, Verdict]]:
    for number, stage in enumerate(stages, start=1):
        verdict = record.judge(stage, graph, say)
        if verdict.reason:
            yield number, stage, verdict


def _clear(stage: Stage, damaged: Sequence[tuple[Path, str]], say: Say) -> None:
    """Nothing damaged is built upon: neither skipped because of its manifest, nor resumed from."""
    for folder, name in damaged:
        path = folder / name
        if not stage.grows:
            say(f"{shown(path)} is not as it was written: the folder is made anew")
            shutil.rmtree(folder, ignore_errors=True)
        elif path.exists():
            say(f"{shown(path)} is not as it was written: it is made anew, and kept as {name}.damaged")
            path.replace(path.with_name(f"{path.name}.damaged"))


def _result(stage: Stage) -> str:
    """What came out, whenever and however long it took to make it."""
    return digest([(manifest.read(folder) or {}).get("outputs") for folder in stage.outputs])


def _stamps(stage: Stage) -> dict[str, dict[str, Sequence[int]]]:
    """Size and time in ns of every file by folder; nothing of one that is gone."""
    return {str(folder): {name: _stamp(folder / name) for name in _files(folder)} for folder in stage.outputs}


def _files(folder: Path) -> list[str]:
    return [manifest.NAME, *(manifest.read(folder) or {}).get("outputs", {})]


def _stamp(path: Path) -> list[int]:
    try:
        stat = path.stat()
    except OSError:
        return []
    return [stat.st_size, stat.st_mtime_ns]


def _not_as_written(folder: Path, names: Sequence[str]) -> list[str]:
    """By the hashes in the folder's manifest; models' shards, which have none there, by the sums of their pieces."""
    if not names:
        return []
    known = (manifest.read(folder) or {}).get("outputs", {})
    bad = [name for name in names if not manifest.intact(folder / name, known[name])]
    if any("sha256" not in known[name] for name in names if name not in bad):
        from postprocess.verify import checksums

        with Meter("reading", "MB") as meter:
            pieces = checksums(folder, lambda what, done, total: meter.update(done, total, folder.name))
        broken = {piece.rpartition(", bytes ")[0] for piece in pieces}
        bad += [name for name in names if name in broken and name not in bad]
    return bad


def _grouped(names: Sequence[str]) -> str:
    """``blend v8: a``, ``blend v8: b`` as ``blend v8 (a and 1 more)``."""
    keys: dict[str, list[str]] = {}
    for name in names:
        part, _, key = name.partition(": ")
        keys.setdefault(part, []).extend([key] if key else [])
    more = {part: f" and {len(found) - 1} more" if len(found) > 1 else "" for part, found in keys.items()}
    return _listed([f"{part} ({found[0]}{more[part]})" if found else part for part, found in keys.items()])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
