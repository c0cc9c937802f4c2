"""The blend as a picture: what it is made of, beside what is published, and how long its rows are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset_builders.blend.stats import published_share
from spine.atomic import whole_file
from spine.published import published_shares

_OURS, _THEIRS, _GREY = "#1f5f8b", "#c0392b", "#9db4c8"
_TITLES = {
    "type": "task type",
    "source": "source",
    "cluster": "cluster of the winners' list",
    "LLM": "enhanced by an LLM, with an endpoint",
    "track": "track",
}


def draw(path: Path, name: str, stats: Mapping[str, Any]) -> None:
    """Writes a PNG of ``statistics``: five panels of shares, and the histogram of lengths."""
    from matplotlib.figure import Figure  # 0.5 s; not pyplot, which needs a display's backend

    figure = Figure(figsize=(11, 6.5), layout="constrained")
    panels = figure.subplot_mosaic([["type", "source", "cluster"], ["LLM", "track", "lengths"]])
    for what, title in _TITLES.items():
        _bars(panels[what], what, title, stats)
    _histogram(panels["lengths"], stats)
    totals = stats["totals"]
    figure.suptitle(f"blend {name}: {totals['kept']:,} rows of {len(stats['datasets'])} datasets", x=0.01, ha="left")
    figure.text(0.99, 0.985, "red: the winners' published share", color=_THEIRS, fontsize=9, ha="right", va="top")
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")


def _bars(axes: Any, what: str, title: str, stats: Mapping[str, Any]) -> None:
    shares = dict.fromkeys(published_shares().get(what, ()), 0.0) | stats["shares"][what]
    names = list(shares)[::-1]
    axes.barh(names, [100 * shares[name] for name in names], color=_OURS, height=0.6)
    for place, name in enumerate(names):
        ours, theirs = 100 * shares[name], 100 * (published_share(what, name) or 0.0)
        if theirs:
            axes.plot([theirs, theirs], [place - 0.42, place + 0.42], color=_THEIRS, linewidth=2)
        label = (max(ours, theirs), place)  # beside the bar and the mark
        axes.annotate(f"{ours:.1f}%", label, xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlim(0, 115 * max(shares.values(), default=1))
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(bottom=False, labelbottom=False, left=False)


def _histogram(axes: Any, stats: Mapping[str, Any]) -> None:
    edges, rows = stats["lengths"]["edges"], stats["lengths"]["rows"]
    axes.stairs(rows, edges, fill=True, color=_GREY)
    axes.set_title("length of a row in the model's tokens", loc="left", fontsize=10)
    axes.set_ylabel("rows")
    axes.set_xlim(0)
    axes.spines[["top", "right"]].set_visible(False)
