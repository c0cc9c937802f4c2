"""The page's charts. Each takes the facts and gives a figure, wide or narrow; none where there is nothing to show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from axolotl_configs.curve import draw_curve
from dataset_builders.blend.picture import bars_of, draw_shares, highest
from inference.scoring.compare import Difference, Verdict
from inference.scoring.forest import COLOURS
from recipe.report import flow
from recipe.report.facts import Curve, Facts, Gains, Quality
from recipe.report.look import page_wide, panels, series
from spine.look import ACCENT, GREY, INK, LINE, MUTED, WASH, only_bars

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHARES = ["source", "type", "LLM"]
_VERSIONS = {"4 bit": ACCENT, "plain rounding": GREY}


def pictures() -> dict[str, Callable[[Facts, bool], Figure | None]]:
    """By name, in the page's order. What they are told beside the facts: whether they are for a phone."""
    return {"gains": gains, "flow": flow.draw, "blend": blend, "loss": loss, "wiseft": wise_ft, "quality": quality}


def gains(facts: Facts, narrow: bool) -> Figure | None:
    """What each step brought, by task type, with 95% intervals: a panel for each step."""
    if not facts.gains:
        return None
    names = [*dict.fromkeys(row.name for one in facts.gains for row in one.types), "overall"]
    made, every = panels(len(facts.gains), 1.1 + 0.27 * len(names), narrow, sharex=True, sharey=True)
    for axes, one in zip(every, facts.gains, strict=True):
        _gain(axes, one, names, " " if narrow else "\n")
    every[0].set_yticks(range(len(names)), [readable(name) for name in reversed(names)])
    every[0].set_ylim(-0.6, len(names) - 0.4)
    made.supxlabel("difference in score, with its 95% interval", fontsize=8, color=MUTED)
    return made


def _gain(axes: Any, found: Gains, names: Sequence[str], between: str) -> None:
    rows: dict[str, Difference] = {row.name: row for row in found.types}
    rows |= {"overall": found.overall} if found.overall else {}
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.axhspan(-0.5, 0.5, color=WASH, linewidth=0)
    for height, name in enumerate(reversed(names)):
        if row := rows.get(name):
            colour = COLOURS[row.verdict]
            axes.plot([row.low, row.high], [height, height], color=colour, linewidth=1.8)
            axes.plot([row.difference], [height], marker="D" if name == "overall" else "o", color=colour, markersize=5)
            axes.annotate(
                f"{row.difference:+.2f}".replace("-", "−"), (row.difference, height), (0, 5), fontsize=7,
                textcoords="offset points", ha="center", color=colour if row.verdict is not Verdict.NONE else MUTED,
            )  # fmt: skip
    axes.set_title(f"{found.b}{between}beside {found.a}")
    axes.margins(x=0.1)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)


def blend(facts: Facts, narrow: bool) -> Figure | None:
    """What the rows are made of, in shares, a bar for each blend; a mark where the winners' share is published."""
    built = {one.name: one.shares for one in facts.blends if one.shares}
    if not built:
        return None
    colours = series([one.name for one in facts.blends])
    bars = [len(bars_of(what, built)) for what in _SHARES]
    made = page_wide(0.75 + (sum(bars) if narrow else max(bars)) * (0.2 + 0.085 * len(built)), narrow)
    ratios: dict[str, Any] = {"height_ratios": bars} if narrow else {}
    every = made.subplots(*((len(bars), 1) if narrow else (1, len(bars))), **ratios)
    for axes, what in zip(every, _SHARES, strict=True):
        draw_shares(axes, what, built, colours, highest(built, _SHARES))
        axes.set_ylim((len(bars_of(what, built)) if narrow else max(bars)) - 0.5, -0.5)  # bars of one thickness
    handles, labels = made.axes[0].get_legend_handles_labels()
    made.legend(handles, labels, loc="outside lower left", ncols=len(handles))
    return made


def loss(facts: Facts, narrow: bool) -> Figure | None:
    """Every training's curve: the first round's on the left, what goes on from them on the right."""
    rounds = [[one for one in facts.losses if bool(one.parent) is second] for second in (False, True)]
    rounds = [found for found in rounds if found]
    if not rounds:
        return None
    colours = series([one.name for one in facts.blends])
    made, every = panels(len(rounds), 2.7, narrow, sharey=True)
    for axes, found in zip(every, rounds, strict=True):
        for one in found:
            draw_curve(axes, one.blend, one.training, one.held_out, colours[one.blend])
        axes.set_title("second round" if found[0].parent else "first round")
    every[0].set_ylabel("nats per answer token")
    return made


def wise_ft(facts: Facts, narrow: bool) -> Figure | None:
    """The sweeps of all blends."""
    return sweeps(facts.curves, [one.name for one in facts.blends], narrow) if facts.curves else None


def sweeps(curves: Sequence[Curve], order: Sequence[str], narrow: bool = False) -> Figure:
    """Score over the wise-ft weight: a row for each blend, a panel for each track; on a phone the other way round.

    Args:
        order: of the blends.
    """
    of = {(curve.blend, curve.track): curve for curve in curves}
    blends = [name for name in order if name in {curve.blend for curve in curves}]
    tracks = sorted({curve.track for curve in curves}, key=lambda track: (track == "overall", track))
    titles = {track: "all tracks" if track == "overall" else f"track {track}" for track in tracks}
    down, across = (tracks, blends) if narrow else (blends, tracks)
    made = page_wide(0.8 + 1.1 * len(down) + (0.5 if len(down) == 1 else 0), narrow)
    grid = made.subplots(len(down), len(across), sharex=True, sharey=True, squeeze=False)
    for row, y in zip(grid, down, strict=True):
        for axes, x in zip(row, across, strict=True):
            if curve := of.get((x, y) if narrow else (y, x)):
                _curve(axes, curve)
            if y == down[0]:
                axes.set_title(titles.get(x, x))
            axes.grid(axis="y")
            axes.tick_params(length=0)
        row[0].set_ylabel(
            titles.get(y, y), fontsize=9, color=INK, fontweight="bold", rotation=0, ha="right", va="center"
        )
    marks = "band: 95% interval; dashed: in tracks.yaml; dot: the best"
    told = f"wise-ft weight (0: where training started, 1: what came out of it)\n{marks}"
    made.supxlabel(told, fontsize=8, color=MUTED)
    return made


def _curve(axes: Any, found: Curve) -> None:
    axes.fill_between(found.weights, found.low, found.high, color=ACCENT, alpha=0.15, linewidth=0)
    axes.plot(found.weights, found.scores, color=ACCENT, linewidth=1.5)
    if found.published:  # of another model, on other questions: its own scale, so that the shapes can be compared
        theirs = axes.twinx()
        theirs.plot(*zip(*found.published, strict=True), color=GREY, linewidth=1, marker=".", markersize=3)
        low, high = (pick(score for _, score in found.published) for pick in (min, max))
        theirs.set_ylim(low - 3 * (high - low), high + (high - low))
        theirs.set_yticks([low, high], [f"{at:.3f}".removeprefix("0") for at in (low, high)], fontsize=6, color=GREY)
        theirs.tick_params(length=0)
    for weight in found.chosen:
        axes.axvline(weight, color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
    best = found.scores[found.weights.index(found.best)]
    axes.plot([found.best], [best], marker="o", markersize=5, color=ACCENT)
    axes.set_xticks([0, 0.5, 1], ["0", ".5", "1"])


def quality(facts: Facts, narrow: bool) -> Figure | None:
    """How far the 4-bit exports are from the originals, in all and layer by layer; plain rounding beside them."""
    if not facts.exports:
        return None
    made, (kl, *every) = panels(1 + len(facts.exports), 2.3, narrow)
    _kl(kl, facts.exports)
    highest = max((error for one in facts.exports for both in one.layers for error in both if error), default=1.0)
    for axes, found in zip(every, facts.exports, strict=True):
        _layers(axes, found)
        axes.set_ylim(0, 1.08 * highest)
    handles, labels = kl.get_legend_handles_labels()
    made.legend(handles, labels, loc="outside lower left", ncols=2)
    return made


def _kl(axes: Any, exports: Sequence[Quality]) -> None:
    for at, (label, colour) in enumerate(_VERSIONS.items()):
        values = [(one.kl, one.kl_rounded)[at] or 0.0 for one in exports]
        places = [place + (at - 0.5) * 0.36 for place in range(len(exports))]
        bars = axes.barh(places, values, 0.3, color=colour, label=label)
        axes.bar_label(bars, [f"{value:.3g}" for value in values], padding=4, fontsize=7.5, color=MUTED)
    axes.set_yticks(range(len(exports)), [one.name for one in exports])
    axes.set_title("KL, nats per token")
    axes.margins(x=0.22)
    axes.set_ylim(-0.7, len(exports) - 0.3)
    only_bars(axes)


def _layers(axes: Any, found: Quality) -> None:
    for at, colour in enumerate(_VERSIONS.values()):
        points = [(layer, both[at]) for layer, both in enumerate(found.layers) if both[at] is not None]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.6)
    axes.set_title(f"{found.name}: error by layer")
    axes.set_xlabel("layer")
    axes.grid(axis="y", color=LINE)


def readable(name: str) -> str:
    """``named_entity_recognition`` without its underscores."""
    return name.replace("-", " ").replace("_", " ")
