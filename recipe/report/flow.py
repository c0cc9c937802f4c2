"""The flow of the recipe as boxes with times: a lane for each blend, a second round below the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from recipe.report.facts import NOT_RUN, OUTDATED, Facts, StepFact
from recipe.report.look import ACCENT, GREY, MUTED, PAPER, WORSE, bare, figure, took

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = ("data", "train", "sweep", "eval", "merge", "awq", "eval of 4 bit")
_GROUND = {"model": 0, "sample-data": 1, "questions": 2, "eval": 3}  # what belongs to no blend, left to right
_TITLES = {"data": "build data", "sweep": "wise-ft sweep", "eval": "answer", "awq": "4-bit AWQ",
           "model": "base model", "sample-data": "sample shop"}  # fmt: skip
_BOX, _STEP, _LANE = (0.82, 0.6), 1.0, 0.92  # width and height; from a box to the next, from a lane to the next
Lane = Mapping[int, Sequence[StepFact]]  # by column


def draw(facts: Facts) -> Figure:
    """Every step that there is; the stronger a box's colour, the longer it took."""
    lanes = {name: lane for name in ("", *(blend.name for blend in facts.blends)) if (lane := _lane(facts, name))}
    made = figure(0.25 + 0.72 * len(lanes))
    axes = made.add_subplot()
    slowest = max([1.0, *(_seconds(box) or 0 for lane in lanes.values() for box in lane.values())])
    heights = {name: -at * _LANE for at, name in enumerate(lanes)}
    for name, lane in lanes.items():
        _draw_lane(axes, lane, heights[name], slowest)
    for blend in facts.blends:
        _label(axes, blend.name, f"trains {blend.parent} on" if blend.parent else "", heights[blend.name])
        if blend.parent in heights:
            _arrow(axes, (1, heights[blend.parent] - _BOX[1] / 2), (1, heights[blend.name] + _BOX[1] / 2))
    axes.set_xlim(-1.02, len(_COLUMNS) - 0.5)
    axes.set_ylim(-len(lanes) * _LANE + _LANE - _BOX[1] / 2 - 0.14, _BOX[1] / 2 + 0.05)
    bare(axes)
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


def _draw_lane(axes: Any, lane: Lane, height: float, slowest: float) -> None:
    merge = _COLUMNS.index("merge")
    for column, after in pairwise(lane):
        start, end = column * _STEP + _BOX[0] / 2, after * _STEP - _BOX[0] / 2
        if lane[column][0].name == "eval base" or not lane[column][0].blend:
            continue
        if after == merge and column > 1:  # it does not wait for answers
            _detour(axes, _STEP + 0.3 * _BOX[0], end, height)
        else:
            _arrow(axes, (start, height), (end, height))
    for column, box in lane.items():
        _draw_box(axes, box, column * _STEP, height, slowest)


def _draw_box(axes: Any, box: Sequence[StepFact], x: float, y: float, slowest: float) -> None:
    from matplotlib.patches import FancyBboxPatch

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
    axes.text(x, y + 0.11, _title(box), ha="center", va="center", fontsize=7.5, color=MUTED)
    told = took(seconds) if seconds else "-"
    if waiting:
        told = "not run yet" if len(states) == 1 else f"{told}, not all run"
    elif outdated:
        told = "out of date"
    weight = {"color": MUTED} if waiting else {"fontweight": "bold"}
    axes.text(x, y - 0.12, told, ha="center", va="center", fontsize=7.5 if waiting else 9, **weight)


def _title(box: Sequence[StepFact]) -> str:
    first = box[0]
    title = "answer: base" if first.name == "eval base" else _TITLES.get(first.kind, first.kind)
    return title + (f"  × {len(box)}" if len(box) > 1 else "")


def _seconds(box: Sequence[StepFact]) -> float | None:
    known = [step.seconds for step in box if step.seconds is not None]
    return sum(known) if known else None


def _label(axes: Any, name: str, what: str, height: float) -> None:
    axes.text(-0.52, height + (0.1 if what else 0), name, ha="right", va="center", fontsize=10, fontweight="bold")
    axes.text(-0.52, height - 0.13, what, ha="right", va="center", fontsize=7, color=MUTED)


def _detour(axes: Any, start: float, end: float, height: float) -> None:
    """From below a training to a merge, under what stands between them."""
    low, turn = height - _BOX[1] / 2 - 0.1, end - 0.1
    axes.plot([start, start, turn, turn], [height - _BOX[1] / 2, low, low, height], color=GREY, linewidth=0.9, zorder=0)
    _arrow(axes, (turn - 0.001, height), (end, height))


def _arrow(axes: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    style = {"arrowstyle": "-|>,head_width=0.16,head_length=0.32", "color": GREY, "linewidth": 0.9, "shrinkA": 0,
             "shrinkB": 0}  # fmt: skip
    axes.annotate("", end, start, arrowprops=style, zorder=0)
