"""The loss curve of a training, as data and as a picture."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from spine.atomic import whole_file

_COLUMNS = ("step", "epoch", "loss", "eval_loss", "learning_rate", "grad_norm")


def write_curve(folder: Path) -> list[str]:
    """Writes ``loss.csv`` and ``loss.png`` from the folder's ``trainer_state.json``; returns their names.

    Losses are in nats per answer token.
    """
    history = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    rows = [entry for entry in history if "loss" in entry or "eval_loss" in entry]
    with whole_file(folder / "loss.csv") as temporary, temporary.open("w", newline="") as out:
        writer = csv.DictWriter(out, _COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    with whole_file(folder / "loss.png") as temporary:
        _draw(rows, temporary)
    return ["loss.csv", "loss.png"]


def _draw(rows: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure  # 0.5 s; not pyplot, which needs a display's backend

    train = [(row["step"], row["loss"]) for row in rows if "loss" in row]
    held_out = [(row["step"], row["eval_loss"]) for row in rows if "eval_loss" in row]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    if train:
        axes.plot(*zip(*train, strict=True), color="#9db4c8", linewidth=1, label="training rows")
        axes.plot(*zip(*smoothed(train), strict=True), color="#1f5f8b", label="smoothed")
    if held_out:
        axes.plot(*zip(*held_out, strict=True), color="#c0392b", marker="o", label="held-out rows")
        axes.annotate(f"base {held_out[0][1]:.2f}", held_out[0], textcoords="offset points", xytext=(6, 4))
        axes.annotate(f"{held_out[-1][1]:.2f}", held_out[-1], textcoords="offset points", xytext=(-6, 8), ha="right")
    axes.set(xlabel="step", ylabel="loss, nats per answer token", title=path.parent.parent.name)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150, format="png")


def smoothed(points: list[tuple[int, float]], weight: float = 0.9) -> list[tuple[int, float]]:
    """Exponential moving average without the bias towards its first value."""
    average, total, result = 0.0, 0.0, []
    for step, value in points:
        average, total = weight * average + (1 - weight) * value, weight * total + (1 - weight)
        result.append((step, average / total))
    return result
