"""The flow of the recipe as boxes with times: a lane for each blend, a second round below the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from recipe.report.facts import NOT_RUN, OUTDATED, Facts, StepFact
from recipe.report.look import page_wide, took
from spine.look import ACCENT, GREY, MUTED, PAPER, WORSE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = ("data", "train", "sweep", "eval", "merge", "awq", "eval of 4 bit")
_GROUND = {"model": 0, "sample-data": 1, "questions": 2, "eval": 3}  # what belongs to no blend, left to right
_TITLES = {"data": "build data", "sweep": "wise-ft sweep", "eval": "answer", "awq": "4-bit AWQ",
           "model": "base model", "sample-data": "sample shop"}  # fmt: skip
_BOX = (0.82, 0.6)  # width and height
Lane = Mapping[int, Sequence[StepFact]]  # by column
Point = tuple[float, float]


@dataclass(frozen=True)
class _Layout:
    """Where things are: ``along`` a lane, from step to step, and ``across``, from lane to lane.

    On a screen lanes go from left to right, on a phone downwards.
    """

    narrow: bool
    letters: float  # points, of a box's title

    @property
    def half(self) -> Point:
        """Of a box, along and across."""
        width, height = _BOX
        return (height / 2, width / 2) if self.narrow else (width / 2, height / 2)

    def at(self, column: float, lane: float) -> Point:
        """The middle of a box, along and across."""
        return (0.82 * column, lane) if self.narrow else (column, 0.92 * lane)

    def drawn(self, point: Point) -> Point:
        along, across = point
        return (across, -along) if self.narrow else (along, -across)


def draw(facts: Facts, narrow: bool) -> Figure:
    """Every step that there is; the stronger a box's colour, the longer it took."""
    lanes = {name: lane for name in ("", *(blend.name for blend in facts.blends)) if (lane := _lane(facts, name))}
    layout, places = (
        _Layout(narrow, 6 if narrow and len(lanes) > 3 else 7.5),
        {name: at for at, name in enumerate(lanes)},
    )
    columns = 1 + max(column for lane in lanes.values() for column in lane)
    made = page_wide(0.6 + 0.52 * columns if narrow else 0.25 + 0.72 * len(lanes), narrow)
    axes = made.add_subplot()
    slowest = max([1.0, *(_seconds(box) or 0 for lane in lanes.values() for box in lane.values())])
    for name, lane in lanes.items():
        _draw_lane(axes, layout, lane, places[name], slowest)
    for blend in facts.blends:
        _label(axes, layout, blend.name, f"trains {blend.parent} on" if blend.parent else "", places[blend.name])
        if blend.parent in places:
            (along, start), (_, end), (_, half) = (
                layout.at(1, places[blend.parent]), layout.at(1, places[blend.name]), layout.half
            )  # fmt: skip
            _arrow(axes, layout, (along, start + half), (along, end - half))
    width, height = layout.drawn(layout.at(columns - 1, len(lanes) - 1))
    axes.set_xlim(-0.5 if narrow else -1.02, max(width, 2) + 0.5)
    axes.set_ylim(height - _BOX[1] / 2 - 0.14, _BOX[1] / 2 + (0.5 if narrow else 0.05))
    axes.set_axis_off()
    return made


def _lane(facts: Facts, blend: str) -> Lane:
    found: dict[int, list[StepFact]] = {}
    for step in facts.steps:
        ground = step.name == "eval base" or not step.blend
        if ground == (not blend) and (ground or step.blend == blend):
            exported = step.kind == "eval" and any(need.startswith("awq") for need in step.needs)
            column = _GROUND.get(step.kind, 4) if ground else _COLUMNS.index("eval of 4 bit" if exported else step.kind)
            found.setdefault(column, []).append(step)
    return dict(sorted(found.items()))


def _draw_lane(axes: Any, layout: _Layout, lane: Lane, place: int, slowest: float) -> None:
    merge, half = _COLUMNS.index("merge"), layout.half[0]
    for column, after in pairwise(lane):
        (start, across), (end, _) = layout.at(column, place), layout.at(after, place)
        if lane[column][0].name == "eval base" or not lane[column][0].blend:
            continue
        if after == merge and column > 1:  # it does not wait for answers
            _detour(axes, layout, layout.at(1, place)[0] + 0.6 * half, (end - half, across))
        else:
            _arrow(axes, layout, (start + half, across), (end - half, across))
    for column, box in lane.items():
        _draw_box(axes, box, layout.drawn(layout.at(column, place)), slowest, layout.letters)


def _draw_box(axes: Any, box: Sequence[StepFact], middle: Point, slowest: float, letters: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = middle
    states, seconds = {step.state for step in box}, _seconds(box)
    waiting, outdated = NOT_RUN in states, OUTDATED in states
    corner, (width, height) = (x - _BOX[0] / 2, y - _BOX[1] / 2), _BOX
    frame: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.07", "linewidth": 0.9}
    axes.add_patch(FancyBboxPatch(corner, width, height, facecolor=PAPER, edgecolor="none", **frame))
    if seconds:
        depth = 0.07 + 0.38 * (seconds / slowest) ** 0.5
        axes.add_patch(FancyBboxPatch(corner, width, height, facecolor=ACCENT, alpha=depth, edgecolor="none", **frame))
    edge, line = (WORSE if outdated else GREY if waiting else ACCENT), "--" if waiting else "-"
    axes.add_patch(FancyBboxPatch(corner, width, height, fill=False, edgecolor=edge, linestyle=line, **frame))
    axes.text(x, y + 0.11, _title(box), ha="center", va="center", fontsize=letters, color=MUTED)
    told = took(seconds) if seconds else "-"
    if waiting:
        told = "not run yet" if len(states) == 1 else f"{told}, not all run"
    elif outdated:
        told = "out of date"
    weight = {"color": MUTED} if waiting else {"fontweight": "bold"}
    axes.text(x, y - 0.12, told, ha="center", va="center", fontsize=letters if waiting else letters + 1.5, **weight)


def _title(box: Sequence[StepFact]) -> str:
    first = box[0]
    title = "answer: base" if first.name == "eval base" else _TITLES.get(first.kind, first.kind)
    return title + (f"  × {len(box)}" if len(box) > 1 else "")


def _seconds(box: Sequence[StepFact]) -> float | None:
    known = [step.seconds for step in box if step.seconds is not None]
    return sum(known) if known else None


def _label(axes: Any, layout: _Layout, name: str, what: str, place: int) -> None:
    x, y = layout.drawn(layout.at(0, place))
    if layout.narrow:
        (x, y), beside = (x, y + 0.62), "center"
    else:
        (x, y), beside = (x - 0.52, y + (0.1 if what else 0)), "right"
    axes.text(x, y, name, ha=beside, va="center", fontsize=10, fontweight="bold")
    axes.text(x, y - 0.22, what, ha=beside, va="center", fontsize=7, color=MUTED)


def _detour(axes: Any, layout: _Layout, start: float, end: Point) -> None:
    """From beside a training to a merge, past what stands between them."""
    edge, turn = end[1] + layout.half[1], end[0] - 0.1
    way = [(start, edge), (start, edge + 0.09), (turn, edge + 0.09), (turn, end[1])]
    axes.plot(*zip(*map(layout.drawn, way), strict=True), color=GREY, linewidth=0.9, zorder=0)
    _arrow(axes, layout, (turn - 0.001, end[1]), end)


def _arrow(axes: Any, layout: _Layout, start: Point, end: Point) -> None:
    style = {"arrowstyle": "-|>,head_width=0.16,head_length=0.32", "color": GREY, "linewidth": 0.9, "shrinkA": 0,
             "shrinkB": 0}  # fmt: skip
    axes.annotate("", layout.drawn(end), layout.drawn(start), arrowprops=style, zorder=0)
