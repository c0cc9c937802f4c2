"""The stages that every walk has, whatever it is for: the ground, a run's rows, its training; and how many questions
there are to ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from axolotl_configs import embedded
from axolotl_configs.costs.estimate import steps
from axolotl_configs.render import Resolved
from axolotl_configs.schema import Profile
from dataset_builders.task import load_task
from inference.answering.questions import read_questions
from recipe.steps.data import DataFrom, data_step, sample_step
from recipe.steps.train import train_step
from recipe.walk.graph import Stage
from spine import manifest
from spine.paths import EMBEDDED, ROOT, SAMPLE

Counts = Counter[int | None]  # of questions, by track; None: of no track
Names = tuple[str, ...]


def ground(profile: Profile, raw: Path | None) -> list[Stage]:
    """What there is before any blend: the base model and the raw files, where they are made here."""
    made = []
    if profile.embedded and ROOT / profile.base_model == EMBEDDED:
        made.append(Stage("model", ("recipe", "model"), (EMBEDDED,), steps=lambda: [embedded.step(EMBEDDED)]))
    if raw is None:
        made.append(Stage("sample-data", ("recipe", "sample-data"), (SAMPLE,), steps=lambda: [sample_step()]))
    return made


def data_options(data: DataFrom) -> Names:
    """As they are typed."""
    raw = () if data.folder is None else ("--data", str(data.folder))
    return (*raw, *(word for file in data.evaluation for word in ("--decontaminate", str(file))))


def rows_of(name: str, resolved: Resolved, data: DataFrom, options: Names, needs: Iterable[str]) -> Stage:
    """The stage that builds a run's rows.

    Args:
        name: what tells the run from others of the walk.
        options: profile and settings, as they are typed.
    """
    command = ("recipe", "data", resolved.blend.name, *options, *data_options(data))
    return Stage(
        f"data {name}", command, (resolved.run.data,), tuple(needs), lambda: [data_step(resolved, data)], about=name
    )


def training_of(name: str, resolved: Resolved, data: DataFrom, options: Names, needs: Iterable[str]) -> Stage:
    """The stage that trains on them; likewise."""
    command = ("recipe", "train", resolved.blend.name, *options, *data_options(data))
    rows = sum(part.rows for part in resolved.portions)
    return Stage(
        f"train {name}", command, (resolved.run.train,), tuple(needs), lambda: [train_step(resolved)],
        grows=True, about=name, work=steps(resolved.axolotl, resolved.profile.hardware.gpus, rows),
    )  # fmt: skip


def in_file(path: Path) -> Counts:
    """Of a user's file or folder of questions."""
    return Counter(question.track for question in read_questions(path))


def held_out(folder: Path, side: str, blends: Sequence[Resolved]) -> Counts:
    """Of what `recipe questions` writes to ``folder`` for ``blends``."""
    found = Counts()
    if known := manifest.read(folder):
        for name, count in known["datasets"][side].items():
            found[known["tracks"][name]] += count
        return found
    wanted = 0
    own: dict[str, bool] = {}
    for resolved in blends:
        wanted = resolved.profile.questions.model_dump()[side]
        own |= {part.name: part.path is not None for part in resolved.portions}
    for name, is_own in own.items():
        track = None if is_own else load_task(name).track
        if is_own or track:
            found[track] += wanted
    return found
