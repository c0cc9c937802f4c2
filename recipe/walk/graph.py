"""A graph of stages: which are stale and why, and walking it until none is. Knows nothing of models or data.

Nothing is kept here: each stage's own steps say what they depend on now, the manifests in its folders what they
depended on when they were made. A stage's command skips by itself what is done, so one stage too many costs its
start-up and no more.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spine import manifest
from spine.errors import RecipeError
from spine.manifest import NEVER, Step
from spine.paths import shown

Say = Callable[[str], None]


@dataclass(frozen=True)
class Stage:
    """One command and what it leaves.

    Attributes:
        name: its first word is the kind of work.
        command: as it is typed.
        outputs: folders that end with a manifest.
        needs: the stages whose outputs it reads.
        steps: those that fill ``outputs``, as they are now; asked when the stages it needs are done.
        grows: its results grow in their folder, beside what a resume starts from; else the folder is written whole.
        about: what tells it from others of its kind (a blend).
        work: how much there is to do, beside others of its kind (steps, questions).
    """

    name: str
    command: tuple[str, ...]
    outputs: tuple[Path, ...]
    needs: tuple[str, ...] = ()
    steps: Callable[[], Iterable[Step]] = tuple
    grows: bool = False
    about: str = ""
    work: float = 1.0

    @property
    def kind(self) -> str:
        return self.name.split()[0]


def seconds_of(known: Iterable[Mapping[str, Any]]) -> float:
    """What a stage took, by the manifests of its outputs: a sweep's own holds the times of its evaluations, and what is
    merged at once took the same time."""
    return max(float(one["wall_seconds"]) for one in known)


def why(stage: Stage) -> str:
    """Why a stage would run, "" if it would not; the stages it needs are done. Files that were touched are read."""
    if not all(manifest.read(folder) for folder in stage.outputs):
        return NEVER
    try:
        return next((reason for step in stage.steps() if (reason := step.why())), "")
    except RecipeError as error:  # its command will say so too
        return f"cannot be told: {error.what}"


def plan(stages: Sequence[Stage]) -> list[tuple[Stage, str]]:
    """Every stage with the reason for which it would run; behind a stale one a stage may turn out to be fresh."""
    stale, found = set[str](), []
    for stage in stages:
        waiting = [need for need in stage.needs if need in stale]
        reason = f"after {waiting[-1]}" if waiting else why(stage)
        stale |= {stage.name} if reason else set()
        found.append((stage, reason))
    return found


def alike(stages: Sequence[Stage], first: Stage) -> list[Stage]:
    """``first``, which is stale, and all other stale ones of its kind that wait for nothing: they may run at once."""
    planned = plan(stages)
    fresh = {stage.name for stage, reason in planned if not reason}
    return [stage for stage, reason in planned if reason and stage.kind == first.kind and fresh.issuperset(stage.needs)]


def walk(make: Callable[[], Sequence[Stage]], run: Callable[[Stage, str], None], say: Say) -> int:
    """Runs the first stale stage until there is none; returns how many ran.

    Args:
        make: the stages as things are now, each behind those it needs. Asked before every stage: a blend may have been
            edited, a sweep may have found other weights.
        run: given the stage, and in words where it stands and why it runs.

    Raises:
        RecipeError: a stage failed, or is stale again although nothing has changed.
    """
    ran = dict[str, list[str]]()
    while True:
        stages = make()
        number, stage, reason = next(_stale(stages), (0, None, ""))
        if stage is None:
            return len(ran)
        wanted = [stage.name, *(step.key for step in stage.steps())]
        if ran.get(stage.name) == wanted:
            raise RecipeError(f"{stage.name} has run, and is not up to date: {reason}", where=shown(stage.outputs[0]))
        if stage.name in ran:
            say(f"{stage.name} once more: {reason} while this was running")
        ran[stage.name] = wanted
        _clear(stage, say)
        run(stage, f"[{number}/{len(stages)}] {stage.name} ({reason})")


def _stale(stages: Sequence[Stage]) -> Iterator[tuple[int, Stage, str]]:
    for number, stage in enumerate(stages, start=1):
        if reason := why(stage):
            yield number, stage, reason


def _clear(stage: Stage, say: Say) -> None:
    """Nothing damaged is built upon: neither skipped because of its manifest, nor resumed from."""
    for folder in stage.outputs:
        damaged = manifest.damaged(folder)
        if damaged and not stage.grows:
            say(f"{shown(folder / damaged[0])} is not as it was written: the folder is made anew")
            shutil.rmtree(folder, ignore_errors=True)
        for path in (folder / name for name in damaged if stage.grows and (folder / name).exists()):
            say(f"{shown(path)} is not as it was written: it is made anew, and kept as {path.name}.damaged")
            path.replace(path.with_name(f"{path.name}.damaged"))
