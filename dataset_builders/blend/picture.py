"""The blend as a picture: what it is made of, beside what is published, and how long its rows are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset_builders.blend.stats import published_share
from spine.look import ACCENT, INK, MUTED, SOFT, only_bars, picture
from spine.published import published_shares

Shares = Mapping[str, Mapping[str, float]]  # by kind ("type", "source", ...) and bar, 0 to 1
TITLES = {
    "type": "by task type",
    "source": "by source",
    "cluster": "by cluster of the winners' list",
    "LLM": "by use of an LLM",
    "track": "by track",
}
_NAMES = {"mc": "multiple choice", "gen": "generation", "ner": "NER"}


def draw(path: Path, name: str, stats: Mapping[str, Any]) -> None:
    """Writes a picture of ``statistics``: panels of shares on one scale, and the histogram of lengths."""
    with picture(path, 11, 6.5) as figure:
        panels = figure.subplot_mosaic([["type", "source", "cluster"], ["LLM", "track", "lengths"]])
        built, most = {name: stats["shares"]}, highest({name: stats["shares"]}, list(TITLES))
        for what in TITLES:
            draw_shares(panels[what], what, built, {name: ACCENT}, most)
        _histogram(panels["lengths"], stats)
        rows = f"blend {name}: {stats['totals']['kept']:,} rows of {len(stats['datasets'])} datasets"
        figure.suptitle(f"{rows}; upright marks: the winners' published shares", x=0.01, ha="left")


def bars_of(what: str, built: Mapping[str, Shares]) -> list[str]:
    """The bars of a kind: those that the winners have published, and what else the blends have."""
    return list(
        dict.fromkeys([*published_shares().get(what, ()), *(bar for one in built.values() for bar in one[what])])
    )


def highest(built: Mapping[str, Shares], kinds: list[str]) -> float:
    """The largest share in any of these panels, so that all of them have one scale."""
    return max(
        max([published_share(what, bar) or 0.0, *(one[what].get(bar, 0.0) for one in built.values())])
        for what in kinds
        for bar in bars_of(what, built)
    )


def draw_shares(axes: Any, what: str, built: Mapping[str, Shares], colours: Mapping[str, str], most: float) -> None:
    """Shares of one kind, a bar for each blend; a label with their mean, a mark at the winners' share.

    Args:
        most: the share at the right end.
    """
    bars, thick = bars_of(what, built), 0.74 / len(built)
    for at, (name, shares) in enumerate(built.items()):
        heights = [place + (at - (len(built) - 1) / 2) * thick for place in range(len(bars))]
        axes.barh(heights, [shares[what].get(bar, 0.0) for bar in bars], thick * 0.86, color=colours[name], label=name)
    for place, bar in enumerate(bars):
        found, known = [one[what].get(bar, 0.0) for one in built.values()], published_share(what, bar)
        mean = sum(found) / len(found)
        if known:
            axes.plot([known] * 2, [place - 0.45, place + 0.45], color=INK, linewidth=1.8)
        axes.annotate(
            f"{mean:.0%}" if mean >= 0.1 else f"{mean:.1%}", (max(*found, known or 0.0), place), (4, 0), fontsize=7.5,
            textcoords="offset points", va="center", color=MUTED,
        )  # fmt: skip
    axes.set_yticks(range(len(bars)), [_NAMES.get(bar, bar.replace("_", " ")) for bar in bars])
    axes.set_xlim(0, 1.2 * most)
    axes.set_title(TITLES[what])
    only_bars(axes)


def _histogram(axes: Any, stats: Mapping[str, Any]) -> None:
    axes.stairs(stats["lengths"]["rows"], stats["lengths"]["edges"], fill=True, color=SOFT)
    axes.set_title("length of a row in the model's tokens")
    axes.set_ylabel("rows")
    axes.set_xlim(0)
