"""What the page adds to the house's look: its widths, its colours for blends, and pictures that are part of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spine.look import ACCENT, GREY, INK, LINE, MUTED, PAPER, SOFT, WASH, WORSE, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".svg", ".png")
# Inches; with 9 points a letter is as large as the page's small print, on a screen and on a phone.
WIDTH, NARROW = 9.4, 4.1
# Of blends, a second round paler than the first: never more than four stand side by side in the recipe.
SERIES = (ACCENT, SOFT, MUTED, "#aab3bb")
# In the page a colour is a variable of page.css, so that a dark page has dark pictures.
_VARIABLES = {
    INK: "ink", MUTED: "muted", LINE: "line", PAPER: "paper", WASH: "wash", ACCENT: "accent", SOFT: "soft",
    GREY: "grey", WORSE: "worse", SERIES[3]: "pale",
}  # fmt: skip


def page_wide(height: float, narrow: bool) -> Figure:
    """``height``: inches; as wide as the page is on a screen, or on a phone."""
    return figure(NARROW if narrow else WIDTH, height)


def panels(count: int, height: float, narrow: bool, **shared: Any) -> tuple[Figure, Sequence[Any]]:
    """A figure of ``count`` panels, each ``height`` inches: side by side; on a phone below each other."""
    made = page_wide(height * (count if narrow else 1), narrow)
    rows, columns = (count, 1) if narrow else (1, count)
    return made, made.subplots(rows, columns, squeeze=False, **shared).ravel()


def series(names: Sequence[str]) -> dict[str, str]:
    """A colour for each blend; the same one in every picture."""
    return {name: SERIES[at % len(SERIES)] for at, name in enumerate(names)}


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


def took(seconds: float) -> str:
    """``42 s``, ``2.5 min``, ``3.4 h``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"
