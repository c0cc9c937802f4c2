"""How many questions there are to be asked, by track; before they are written, how many the profile wants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from axolotl_configs.render import Resolved
from dataset_builders.task import load_task
from spine import manifest

Counts = Counter[int | None]  # None: of no track


def in_file(path: Path) -> Counts:
    """Of a user's file or folder of questions."""
    from inference.answering.questions import read_questions

    return Counter(question.track for question in read_questions(path))


def held_out(folder: Path, side: str, blends: Iterable[Resolved]) -> Counts:
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


def of(counts: Counts, tracks: Iterable[int]) -> int:
    """Of these tracks; of none: all there are."""
    chosen = list(tracks)
    return sum(counts[track] for track in chosen) if chosen else counts.total()
