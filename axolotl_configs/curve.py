"""The loss curve of a training, as data and as a picture."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from spine.atomic import whole_file
from spine.look import ACCENT, PAPER, picture

Points = list[tuple[int, float]]
SCORE = "eval_score"  # of held-out questions, from 0 to 1, where `eval_questions` were asked; beside it each track's
_COLUMNS = ("step", "epoch", "loss", "eval_loss", "learning_rate", "grad_norm")


def write_curve(folder: Path) -> list[str]:
    """Writes ``loss.csv`` and ``loss.png`` from the folder's ``trainer_state.json``; returns their names.

    Losses are in nats per answer token.
    """
    history = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    rows = [entry for entry in history if {"loss", "eval_loss", SCORE} & entry.keys()]
    scores = sorted({name for row in rows for name in row if name.startswith(SCORE)})
    with whole_file(folder / "loss.csv") as temporary, temporary.open("w", newline="") as out:
        writer = csv.DictWriter(out, (*_COLUMNS, *scores), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    training, held_out, score = (
        [(row["step"], row[what]) for row in rows if what in row] for what in ("loss", "eval_loss", SCORE)
    )
    with picture(folder / "loss.png", 7, 5.4 if score else 3.6) as made:
        axes, *below = made.subplots(2, sharex=True, height_ratios=(2, 1)) if score else [made.subplots()]
        draw_curve(axes, folder.parent.name, training, held_out, ACCENT)
        axes.set_title("loss: thin, of each step; thick, smoothed; dots, of held-out rows")
        axes.set_ylabel("nats per answer token")
        for panel in below:
            axes.set_xlabel("")
            draw_scores(panel, score)
    return ["loss.csv", "loss.png"]


def draw_scores(axes: Any, scores: Points) -> None:
    """The score of held-out questions at each look, from 0 to 1."""
    axes.plot(*zip(*scores, strict=True), color=ACCENT, marker="o", markersize=5, markeredgecolor=PAPER, linewidth=1)
    axes.set_xlabel("step")
    axes.set_ylabel("score of held-out questions")
    axes.set_ylim(0, 1)
    axes.grid(axis="y")


def draw_curve(axes: Any, name: str, training: Points, held_out: Points, colour: str) -> None:
    """One training's curve; (step, loss) in nats per answer token. What is held out is measured seldom: dots."""
    ends = f", held out {held_out[0][1]:.2f} → {held_out[-1][1]:.2f}" if held_out else ""
    if training:
        axes.plot(*zip(*training, strict=True), color=colour, linewidth=0.6, alpha=0.35)
        axes.plot(*zip(*smoothed(training), strict=True), color=colour, linewidth=1.6)
    axes.plot(
        *(zip(*held_out, strict=True) if held_out else ([], [])), color=colour, marker="o", markersize=5,
        markeredgecolor=PAPER, linestyle="none" if held_out else "-", label=name + ends,
    )  # fmt: skip
    axes.set_xlabel("step")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    axes.legend()


def smoothed(points: Points, weight: float = 0.9) -> Points:
    """Exponential moving average without the bias towards its first value."""
    average, total, result = 0.0, 0.0, []
    for step, value in points:
        average, total = weight * average + (1 - weight) * value, weight * total + (1 - weight)
        result.append((step, average / total))
    return result
