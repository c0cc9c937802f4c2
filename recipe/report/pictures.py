"""The page's charts. Each takes the facts and gives a figure; none where there is nothing to show yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from axolotl_configs.curve import smoothed
from dataset_builders.blend.stats import published_share
from inference.scoring.compare import Difference, Verdict
from recipe.report import flow
from recipe.report.facts import Curve, Facts, Gains, Loss, Quality
from recipe.report.look import ACCENT, GREY, INK, LINE, MUTED, WASH, WORSE, figure, series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_VERDICTS = {Verdict.BETTER: ACCENT, Verdict.WORSE: WORSE, Verdict.NONE: GREY}
_SHARES = {"source": "by source", "type": "by task type", "LLM": "by use of an LLM"}
_NAMES = {"mc": "multiple choice", "gen": "generation", "ner": "NER"}
_VERSIONS = {"4 bit": ACCENT, "plain rounding": GREY}


def pictures() -> dict[str, Callable[[Facts], Figure | None]]:
    """By name, in the page's order."""
    return {"gains": gains, "flow": flow.draw, "blend": blend, "loss": loss, "wiseft": wise_ft, "quality": quality}


def gains(facts: Facts) -> Figure | None:
    """What each step brought, by task type, with 95% intervals: a panel for each step."""
    if not facts.gains:
        return None
    names = [*dict.fromkeys(row.name for one in facts.gains for row in one.types), "overall"]
    made = figure(1.1 + 0.27 * len(names))
    panels = made.subplots(1, len(facts.gains), sharex=True, sharey=True, squeeze=False)[0]
    for axes, one in zip(panels, facts.gains, strict=True):
        _gain(axes, one, names)
    panels[0].set_yticks(range(len(names)), [readable(name) for name in reversed(names)])
    panels[0].set_ylim(-0.6, len(names) - 0.4)
    made.supxlabel("difference in score, with its 95% interval", fontsize=8, color=MUTED)
    return made


def _gain(axes: Any, found: Gains, names: Sequence[str]) -> None:
    rows: dict[str, Difference] = {row.name: row for row in found.types}
    rows |= {"overall": found.overall} if found.overall else {}
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.axhspan(-0.5, 0.5, color=WASH, linewidth=0)
    for height, name in enumerate(reversed(names)):
        if row := rows.get(name):
            colour = _VERDICTS[row.verdict]
            axes.plot([row.low, row.high], [height, height], color=colour, linewidth=1.8)
            axes.plot([row.difference], [height], marker="D" if name == "overall" else "o", color=colour, markersize=5)
            axes.annotate(
                f"{row.difference:+.2f}".replace("-", "−"), (row.difference, height), (0, 5), fontsize=7,
                textcoords="offset points", ha="center", color=colour if row.verdict is not Verdict.NONE else MUTED,
            )  # fmt: skip
    axes.set_title(f"{found.b}\nbeside {found.a}")
    axes.margins(x=0.1)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)


def blend(facts: Facts) -> Figure | None:
    """What the rows are made of, in shares, a bar for each blend; a mark where the winners' share is published."""
    built = {one.name: one.shares for one in facts.blends if one.shares}
    if not built:
        return None
    bars = {
        what: list(dict.fromkeys(name for shares in built.values() for name in shares.get(what, {})))
        for what in _SHARES
    }
    colours = series([one.name for one in facts.blends])
    made = figure(0.75 + max(map(len, bars.values())) * (0.2 + 0.085 * len(built)))
    for axes, (what, title) in zip(made.subplots(1, len(_SHARES)), _SHARES.items(), strict=True):
        _shares(axes, what, bars[what], {name: shares[what] for name, shares in built.items()}, colours)
        axes.set_title(title)
    handles, labels = made.axes[0].get_legend_handles_labels()
    made.legend(handles, labels, loc="outside lower left", ncols=len(handles))
    return made


def _shares(
    axes: Any, what: str, bars: Sequence[str], built: Mapping[str, Mapping[str, float]], colours: Mapping[str, str]
) -> None:
    thick = 0.74 / len(built)
    for at, (name, shares) in enumerate(built.items()):
        heights = [place + (at - (len(built) - 1) / 2) * thick for place in range(len(bars))]
        axes.barh(heights, [100 * shares.get(bar, 0.0) for bar in bars], thick * 0.86, color=colours[name], label=name)
    for place, bar in enumerate(bars):
        mean = sum(shares.get(bar, 0.0) for shares in built.values()) / len(built)
        most = max(shares.get(bar, 0.0) for shares in built.values())
        if known := published_share(what, bar):
            axes.plot([100 * known] * 2, [place - 0.45, place + 0.45], color=INK, linewidth=1.8)
        axes.annotate(
            f"{mean:.0%}" if mean >= 0.1 else f"{mean:.1%}", (100 * max(most, known or 0), place), (4, 0), fontsize=7.5,
            textcoords="offset points", va="center", color=MUTED,
        )  # fmt: skip
    axes.set_yticks(range(len(bars)), [_NAMES.get(bar, bar.replace("_", " ")) for bar in bars])
    axes.invert_yaxis()
    axes.set_xlim(0, 100 * 1.25 * max(max(shares.values()) for shares in built.values()))
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0, labelbottom=False)


def loss(facts: Facts) -> Figure | None:
    """Every training's curve: the first round's on the left, what goes on from them on the right."""
    rounds = [[one for one in facts.losses if bool(one.parent) is second] for second in (False, True)]
    rounds = [found for found in rounds if found]
    if not rounds:
        return None
    colours = series([one.name for one in facts.blends])
    made = figure(2.7)
    panels = made.subplots(1, len(rounds), sharey=True, squeeze=False)[0]
    for axes, found in zip(panels, rounds, strict=True):
        for one in found:
            _loss(axes, one, colours[one.blend])
        axes.set_title("second round" if found[0].parent else "first round")
        axes.set_xlabel("step", fontsize=8)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        axes.legend()
    panels[0].set_ylabel("nats per answer token", fontsize=8)
    return made


def _loss(axes: Any, found: Loss, colour: str) -> None:
    ends = f", held out {found.held_out[0][1]:.2f} → {found.held_out[-1][1]:.2f}" if found.held_out else ""
    if found.training:
        axes.plot(*zip(*found.training, strict=True), color=colour, linewidth=0.6, alpha=0.35)
        axes.plot(*zip(*smoothed(found.training), strict=True), color=colour, linewidth=1.6, label=found.blend + ends)
    if found.held_out:
        axes.plot(*zip(*found.held_out, strict=True), color=colour, marker="o", markersize=5, linewidth=0.4)


def wise_ft(facts: Facts) -> Figure | None:
    """Score over the wise-ft weight: a row for each blend, a panel for each track."""
    if not facts.curves:
        return None
    swept = {curve.blend for curve in facts.curves}
    blends = [one.name for one in facts.blends if one.name in swept]
    tracks = sorted(dict.fromkeys(curve.track for curve in facts.curves), key=lambda track: (track == "overall", track))
    made = figure(0.6 + 1.1 * len(blends))
    grid = made.subplots(len(blends), len(tracks), sharex=True, sharey=True, squeeze=False)
    of = {(curve.blend, curve.track): curve for curve in facts.curves}
    for row, name in zip(grid, blends, strict=True):
        for axes, track in zip(row, tracks, strict=True):
            if curve := of.get((name, track)):
                _curve(axes, curve)
            if name == blends[0]:
                axes.set_title("all tracks" if track == "overall" else f"track {track}")
            axes.grid(axis="y")
            axes.tick_params(length=0)
        row[0].set_ylabel(name, fontsize=9, color=INK, fontweight="bold", rotation=0, ha="right", va="center")
    made.supxlabel("wise-ft weight (0: where training started, 1: what came out of it)", fontsize=8, color=MUTED)
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


def quality(facts: Facts) -> Figure | None:
    """How far the 4-bit exports are from the originals, in all and layer by layer; plain rounding beside them."""
    if not facts.exports:
        return None
    made = figure(2.5)
    kl, *panels = made.subplots(1, 1 + len(facts.exports))
    _kl(kl, facts.exports)
    highest = max((error for one in facts.exports for both in one.layers for error in both if error), default=1.0)
    for axes, found in zip(panels, facts.exports, strict=True):
        _layers(axes, found)
        axes.set_ylim(0, 1.08 * highest)
    return made


def _kl(axes: Any, exports: Sequence[Quality]) -> None:
    for at, (label, colour) in enumerate(_VERSIONS.items()):
        values = [(one.kl, one.kl_rounded)[at] or 0.0 for one in exports]
        places = [place + (at - 0.5) * 0.36 for place in range(len(exports))]
        bars = axes.barh(places, values, 0.3, color=colour, label=label)
        axes.bar_label(bars, [f"{value:.3g}" for value in values], padding=4, fontsize=7.5, color=MUTED)
    axes.set_yticks(range(len(exports)), [one.name for one in exports])
    axes.set_ylim(len(exports) - 0.3, -0.7)
    axes.set_title("KL, nats per token")
    axes.margins(x=0.22)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0, labelbottom=False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, 0.02), ncols=2)


def _layers(axes: Any, found: Quality) -> None:
    for at, (label, colour) in enumerate(_VERSIONS.items()):
        points = [(layer, both[at]) for layer, both in enumerate(found.layers) if both[at] is not None]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.6, label=label)
    axes.set_title(f"{found.name}: error by layer")
    axes.set_xlabel("layer", fontsize=8)
    axes.grid(axis="y", color=LINE)


def readable(name: str) -> str:
    """``named_entity_recognition`` without its underscores."""
    return name.replace("-", " ").replace("_", " ")
