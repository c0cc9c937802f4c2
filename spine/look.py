"""How every picture of the project looks: one palette, one style, one way to be saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spine.atomic import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, LINE, PAPER, WASH = "#1c2128", "#5f6b76", "#d9dee3", "#ffffff", "#f1f5f8"
ACCENT, SOFT, GREY, WORSE = "#1f5f8b", "#8fb4cf", "#8a949e", "#b3402f"
_STYLE = {
    "font.size": 9, "font.family": "sans-serif", "text.color": INK, "axes.labelcolor": MUTED, "axes.edgecolor": LINE,
    "axes.titlesize": 9, "axes.titlecolor": INK, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.labelsize": 8, "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "xtick.color": LINE, "ytick.color": LINE, "xtick.labelcolor": MUTED, "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8, "ytick.labelsize": 8, "grid.color": LINE, "grid.linewidth": 0.6, "legend.frameon": False,
    "legend.fontsize": 8, "figure.titlesize": 10, "figure.titleweight": "bold", "figure.facecolor": PAPER,
    "axes.facecolor": PAPER, "svg.fonttype": "none", "svg.hashsalt": "recipe",
}  # fmt: skip
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


@contextmanager
def house_style() -> Iterator[None]:
    """For everything that is drawn and saved within."""
    import matplotlib as mpl  # 0.3 s

    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        yield


def figure(width: float, height: float) -> Figure:
    """``width``, ``height``: inches. Not pyplot's, which needs a display's backend."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(made: Figure, path: Path) -> None:
    """Writes ``path`` whole; its ending, .svg, .png or .pdf, says as what."""
    settings: dict[str, Any] = {"metadata": _NO_METADATA} if path.suffix == ".svg" else {"dpi": 160}
    with whole_file(path) as temporary:
        made.savefig(temporary, format=path.suffix[1:], **settings)


@contextmanager
def picture(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure to draw on, saved as ``path`` when the block ends well."""
    with house_style():
        made = figure(width, height)
        yield made
        save(made, path)


def only_bars(axes: Any) -> None:
    """Of horizontal bars with their numbers beside them: no frame, no ticks, the first one on top."""
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelbottom=False)
    axes.invert_yaxis()
