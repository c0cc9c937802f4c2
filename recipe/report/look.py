"""How the page's pictures look, and how they get into it: as files of their own, and as SVG in the page's colours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spine.atomic import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".svg", ".png")
WIDTH = 9.4  # inches; with 9 points a letter is as large as the page's small print
INK, MUTED, LINE, PAPER, WASH = "#1c2128", "#5f6b76", "#d9dee3", "#ffffff", "#f1f5f8"
ACCENT, SOFT, GREY, WORSE = "#1f5f8b", "#8fb4cf", "#8a949e", "#b3402f"
# Of blends, a second round paler than the first: never more than four stand side by side in the recipe.
SERIES = (ACCENT, SOFT, MUTED, "#aab3bb")
# In the page a colour is a variable of page.css, so that a dark page has dark pictures.
_VARIABLES = {
    INK: "ink", MUTED: "muted", LINE: "line", PAPER: "paper", WASH: "wash", ACCENT: "accent", SOFT: "soft",
    GREY: "grey", WORSE: "worse", SERIES[3]: "pale",
}  # fmt: skip
_STYLE = {
    "font.size": 9, "font.family": "sans-serif", "text.color": INK, "axes.labelcolor": MUTED, "axes.edgecolor": LINE,
    "axes.titlesize": 9, "axes.titlecolor": INK, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "xtick.color": LINE,
    "ytick.color": LINE, "xtick.labelcolor": MUTED, "ytick.labelcolor": MUTED, "xtick.labelsize": 8,
    "ytick.labelsize": 8, "grid.color": LINE, "grid.linewidth": 0.6, "legend.frameon": False, "legend.fontsize": 8,
    "figure.facecolor": PAPER, "axes.facecolor": PAPER, "svg.fonttype": "none", "svg.hashsalt": "recipe",
}  # fmt: skip
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


@contextmanager
def house_style() -> Iterator[None]:
    """For everything that is drawn and saved within."""
    import matplotlib as mpl  # 0.3 s

    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        yield


def figure(height: float) -> Figure:
    """``height``: inches. Not pyplot's, which needs a display's backend."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), layout="constrained")


def series(names: Sequence[str]) -> dict[str, str]:
    """A colour for each blend; the same one in every picture."""
    return {name: SERIES[at % len(SERIES)] for at, name in enumerate(names)}


def save(made: Figure, path: Path) -> None:
    """Writes ``path`` whole; its ending, one of ``FORMATS``, says as what."""
    settings: dict[str, Any] = {"metadata": _NO_METADATA} if path.suffix == ".svg" else {"dpi": 160}
    with whole_file(path) as temporary:
        made.savefig(temporary, format=path.suffix[1:], **settings)


def embedded(svg: str, name: str) -> str:
    """A saved SVG as part of a page: in its colours and font, with ids of its own, hidden from screen readers.

    What it shows is told in the page's words beside it.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<svg [^>]*?viewBox", '<svg aria-hidden="true" focusable="false" viewBox', body, count=1)
    body = re.sub(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    body = re.sub(r'(\bid="|url\(#|href="#)', rf"\1{name}-", body)
    body = re.sub(r"font: ((?:\w+ )*)([\d.]+px) [^;\"]+", _font, body)
    return re.sub(r"#[0-9a-f]{6}\b", lambda found: _variable(found[0]), body)


def _font(found: re.Match[str]) -> str:
    weight = f"font-weight: {found[1].strip()}; " if found[1].strip() else ""
    return f"{weight}font-size: {found[2]}"


def _variable(colour: str) -> str:
    return f"var(--{_VARIABLES[colour]})" if colour in _VARIABLES else colour


def bare(axes: Any) -> None:
    """Without frame and ticks."""
    axes.set_axis_off()


def took(seconds: float) -> str:
    """``42 s``, ``2.5 min``, ``3.4 h``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"
