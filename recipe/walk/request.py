"""What `reproduce` and `report` are asked for, and the blends that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from axolotl_configs.render import Resolved, parse_set, resolve
from axolotl_configs.schema import Tracks
from dataset_builders.task import task_names
from recipe.walk.rows import chosen
from spine.errors import RecipeError
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


def settings_of(overrides: str, parent: str | None) -> str:
    """A second round with changed settings goes on from a first round with the same."""
    return f"{overrides} parent=same" if overrides and parent else overrides


def blends_of(wanted: WalkRequest, tracks: Tracks) -> dict[str, Resolved]:
    """The blends that are trained, each behind its parent.

    Raises:
        RecipeError: what ``resolve`` refuses; parents in a circle.
    """
    found: dict[str, Resolved] = {}

    def add(name: str, children: tuple[str, ...] = ()) -> None:
        if name in children:
            raise RecipeError(f"circular parents: {' -> '.join([*children, name])}", where=f"blend {name}")
        if name in found:
            return
        resolved = _resolved(wanted, name)
        if resolved.blend.parent:
            add(resolved.blend.parent, (*children, name))
        found[name] = resolved

    for choices in (tracks.round1, tracks.round2):
        for choice in chosen(choices).values():
            add(choice.blend)
    return found


def _resolved(wanted: WalkRequest, name: str) -> Resolved:
    plain = resolve(name, wanted.profile, parse_set(wanted.overrides), task_names())
    settings = settings_of(wanted.overrides, plain.blend.parent)
    return plain if settings == wanted.overrides else resolve(name, wanted.profile, parse_set(settings), task_names())
