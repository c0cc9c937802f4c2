"""What `reproduce` and `report` are asked for, and the blends that follow from it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from axolotl_configs.blend import parent_of
from axolotl_configs.render import Resolved, parse_set, resolve, split_set
from axolotl_configs.rounds import OF_ROUNDS
from axolotl_configs.schema import Parent, Tracks
from dataset_builders.task import task_names
from recipe.walk.rows import chosen
from spine.runs import Run


@dataclass(frozen=True)
class WalkRequest:
    """What was asked for.

    Attributes:
        overrides: of SET, as typed.
        data: the folder of raw files; None: the sample shop.
        evaluation: files whose questions may not be trained on.
        questions: a file or folder of questions to compare the models on, instead of held-out ones.
    """

    profile: str
    overrides: str = ""
    data: Path | None = None
    evaluation: tuple[Path, ...] = ()
    questions: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the walk keeps its record."""
        return self._run("reproduce").folder

    @property
    def questions_folder(self) -> Path:
        return self._run("questions").folder

    @property
    def report_folder(self) -> Path:
        return self._run(f"report@{self.questions.stem}" if self.questions else "report").folder

    def _run(self, name: str) -> Run:
        return Run.of(self.profile, name, parse_set(self.overrides))


def settings_of(overrides: str, parent: Parent | None) -> str:
    """A second round with changed settings goes on from a first one with the same; how it starts is its own affair."""
    items = split_set(overrides)
    of_both = [item for item in items if item.partition("=")[0] not in OF_ROUNDS]
    if parent:
        return f"{overrides} parent=same" if of_both else overrides
    return overrides if of_both == items else shlex.join(of_both)


def blends_of(wanted: WalkRequest, tracks: Tracks) -> dict[str, Resolved]:
    """The blends that are trained, each behind its parent.

    Raises:
        RecipeError: what ``resolve`` refuses.
    """
    found: dict[str, Resolved] = {}

    def add(name: str) -> None:
        if name in found:
            return
        settings = settings_of(wanted.overrides, parent_of(name))
        resolved = resolve(name, wanted.profile, parse_set(settings), task_names())
        if resolved.blend.goes_on_from:
            add(resolved.blend.goes_on_from)
        found[name] = resolved

    for choices in (tracks.round1, tracks.round2):
        for choice in chosen(choices).values():
            add(choice.blend)
    return found
