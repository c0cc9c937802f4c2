"""Results as they were written: blends, losses, wise-ft curves, 4-bit models.

What is not finished or no longer whole is left out, and that is noted.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from axolotl_configs.render import Resolved
from inference.scoring.tables import read_scores
from postprocess.awq import gate
from postprocess.awq.export import QUALITY
from recipe.report.facts import BlendFact, Curve, Loss, Quality
from recipe.report.subject import Subject
from recipe.steps.result_names import BEST, SWEEP, adapter_name
from recipe.walk.rows import ALL_AROUND
from spine import manifest
from spine.errors import RecipeError
from spine.paths import shown
from spine.published import published_curves

T = TypeVar("T")


class Reader:
    """Reads files of finished folders. ``notes``: what was left out, and why."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def read(self, folder: Path, name: str, how: Callable[[Path], T]) -> T | None:
        """``how`` applied to a file of a finished folder; None where there is none that is as it was written."""
        known = manifest.read(folder)
        if known is None or name not in known.get("outputs", {}):
            return None
        path = folder / name
        try:
            if name in manifest.damaged(folder):
                raise ValueError("it is not as it was written")
            return how(path)
        except (RecipeError, OSError, ValueError, KeyError, TypeError) as error:
            what = error.what if isinstance(error, RecipeError) else error
            note = f"{shown(path)} is left out: {what}"
            self.notes += [note] * (note not in self.notes)
            return None

    def json(self, folder: Path, name: str) -> Any:
        """A JSON file of a finished folder, or None."""
        return self.read(folder, name, lambda path: json.loads(path.read_text(encoding="utf-8")))


def blend_fact(resolved: Resolved, reader: Reader) -> BlendFact:
    """A blend; with its rows, where they are built."""
    blend = resolved.blend
    known = BlendFact(blend.name, blend.why, blend.goes_on_from, resolved.yaml)
    found = reader.json(resolved.run.data, "stats.json")
    if found is None:
        return known
    totals = found["totals"]
    return replace(
        known, rows=totals["kept"], tokens=totals["tokens"], trained_tokens=totals["trained_tokens"],
        held_out=totals["held_out"], made_by_llm=totals["made"], dropped=totals["dropped"], shares=found["shares"],
    )  # fmt: skip


def losses(subject: Subject, reader: Reader) -> Iterator[Loss]:
    """The curves of the trainings that are done."""
    for name, resolved in subject.blends.items():
        rows = reader.read(resolved.run.train, "loss.csv", _csv)
        if rows:
            training, held_out = (
                [(int(row["step"]), float(row[column])) for row in rows if row[column]]
                for column in ("loss", "eval_loss")
            )
            yield Loss(name, resolved.blend.goes_on_from, training, held_out)


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def curves(subject: Subject, reader: Reader) -> Iterator[Curve]:
    """Of every sweep, one for each track and one for all of them."""
    for stage, folder in subject.outputs(SWEEP):
        found = reader.json(folder, BEST)
        weights = sorted(found["weights"]) if found else []
        _, tail = folder.name[: len(SWEEP)], folder.name[len(SWEEP) :]
        scores = [reader.read(folder.parent / f"{adapter_name(w)}{tail}", "scores.json", read_scores) for w in weights]
        if not weights or None in scores:
            continue
        yield from curves_of(stage.about, dict(zip(weights, scores, strict=True)), found["best"], subject.chosen)


def curves_of(
    blend: str, scores: Mapping[float, Any], best: Iterable[Mapping[str, Any]],
    chosen: Mapping[int, Sequence[tuple[str, float]]],
) -> Iterator[Curve]:  # fmt: skip
    """A sweep, by track.

    Args:
        scores: the content of ``scores.json`` by weight.
        best: the weight, ``alpha``, for each ``track``.
        chosen: of each track, blends and weights of tracks.yaml.
    """
    for one in best:
        track = one["track"]
        rows = [found["overall"] if track == "overall" else found["tracks"][track] for found in scores.values()]
        number = ALL_AROUND if track == "overall" else int(track)
        yield Curve(
            blend, track, list(scores), [row["score"] for row in rows], [row["low"] for row in rows],
            [row["high"] for row in rows], [alpha for name, alpha in chosen.get(number, ()) if name == blend],
            one["alpha"], list(published_curves().get(blend, {}).items()) if number == ALL_AROUND else [],
        )  # fmt: skip


def exports(subject: Subject, reader: Reader) -> Iterator[Quality]:
    """The 4-bit models, measured when they were made."""
    for stage, folder in subject.outputs("awq"):
        found: dict[str, Any] | None = reader.json(folder, QUALITY)
        if found is None:
            continue
        weight = folder.name.rpartition("-")[2]
        errors = [layer["output_errors"] for layer in found["layers"]]
        before = manifest.read(folder.parent / f"merged-{weight}")
        yield Quality(
            f"{stage.about}, {weight}", found["export"]["kl"], found["rtn"]["kl"], found["texts"], found["tokens"],
            gate.summary(found), [(of_layer["export"], of_layer["rtn"]) for of_layer in errors],
            _size(manifest.read(folder) or {}), _size(before) if before else None,
        )  # fmt: skip


def _size(found: dict[str, Any]) -> int:
    """Of the weights alone."""
    return sum(one["bytes"] for name, one in found["outputs"].items() if name.endswith(".safetensors"))
