"""A comparison as a picture: every difference with its interval, in the colour of its verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inference.scoring.compare import Comparison, Difference, Verdict
from spine.look import ACCENT, GREY, INK, WASH, WORSE, picture

FORMATS = (".png", ".svg", ".pdf")
COLOURS = {Verdict.BETTER: ACCENT, Verdict.WORSE: WORSE, Verdict.NONE: GREY}
_HEIGHT = 0.27  # inches a line


def draw(path: Path, comparison: Comparison, a: str, b: str, title: str = "") -> None:
    """Writes a forest plot, in the format that the ending of ``path`` names; ``a`` and ``b`` are the models' names.

    Tasks stand under their track; a track and the overall score are diamonds.
    """
    rows = _rows(comparison)
    with picture(path, 9.5, 1.5 + _HEIGHT * len(rows)) as figure:
        axes = figure.add_subplot()
        axes.axvline(0, color=GREY, linewidth=0.8, zorder=1)
        for at, row in enumerate(rows):
            _line(axes, len(rows) - 1 - at, row)
        lowest, highest = min(0.0, *(row.low for row in rows)), max(0.0, *(row.high for row in rows))
        margin = max(0.01, 0.12 * (highest - lowest))  # so that 0 stands within, even if all are better
        axes.set_xlim(lowest - margin, highest + margin)
        axes.set_ylim(-0.7, len(rows) - 0.3)
        _labels(axes, rows)
        axes.set_xlabel(f"← {a} better      {b} better →\ndifference in score, with its 95% interval")
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        figure.suptitle(f"{title or f'{b} beside {a}'}, {comparison.questions:,} questions", x=0.01, ha="left")
        _legend(figure)


def _rows(comparison: Comparison) -> list[Difference]:
    """Overall, task types, then each track with its tasks below it, then the tasks of no track."""
    rows: list[Difference] = [*([comparison.overall] if comparison.overall else []), *comparison.types]
    for track in comparison.tracks:
        rows += [track, *(task for task in comparison.tasks if f"track {task.track}" == track.name)]
    return rows + [task for task in comparison.tasks if task.track is None]


def _line(axes: Any, height: int, row: Difference) -> None:
    task = bool(row.metric)
    if not task:
        axes.axhspan(height - 0.5, height + 0.5, color=WASH, zorder=0)
    colour = COLOURS[row.verdict]
    axes.plot([row.low, row.high], [height, height], color=colour, linewidth=1.4 if task else 2.6, zorder=2)
    axes.plot(
        [row.difference], [height], marker="o" if task else "D", color=colour, markersize=5 if task else 7, zorder=3
    )


def _labels(axes: Any, rows: list[Difference]) -> None:
    """Names on the left; on the right both scores, the difference and its interval."""
    heights = [len(rows) - 1 - at for at in range(len(rows))]
    names = [f"{row.name}  ({row.metric}, {row.questions:,})" if row.metric else row.name for row in rows]
    axes.set_yticks(heights, names, fontsize=8)
    axes.tick_params(axis="y", length=0)
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontweight("normal" if row.metric else "bold")
    beside = axes.secondary_yaxis("right")
    texts = [f"{row.a:.3f} → {row.b:.3f}   {row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}]" for row in rows]
    beside.set_yticks(heights, texts, fontsize=8, family="monospace")
    beside.tick_params(length=0)
    beside.spines["right"].set_visible(False)
    for label, row in zip(beside.get_yticklabels(), rows, strict=True):
        label.set_color(INK if row.verdict is Verdict.NONE else COLOURS[row.verdict])


def _legend(figure: Any) -> None:
    from matplotlib.lines import Line2D

    shown = {Verdict.BETTER: "better", Verdict.WORSE: "worse", Verdict.NONE: "no difference shown"}
    handles = [Line2D([], [], color=COLOURS[v], marker="o", markersize=5, label=text) for v, text in shown.items()]
    figure.legend(handles=handles, loc="outside lower right", ncols=3)
