"""Where plots come from: matplotlib, as PNG files and as SVG that follows the page's colours."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Draw = Callable[["Axes"], None]

# Eight colours that differ for colour-blind people too (Okabe and Ito), darkened for white paper.
# The page gives each another tone in the dark: `--c0` ... in style.css.
SERIES = (
    "#0072b2",
    "#d55e00",
    "#008a66",
    "#a8327d",
    "#8a6d00",
    "#1f8fc4",
    "#6a4fb3",
    "#5c5f62",
)
INK = "#1b2125"
FAINT = "#c9d0d4"
_VARIABLES = {color: f"var(--c{i})" for i, color in enumerate(SERIES)}
_VARIABLES |= {INK: "var(--ink)", FAINT: "var(--line)"}
# Identifiers that nothing refers to, and that would be the same in every plot of a page.
_UNUSED_ID = re.compile(r' id="[a-zA-Z0-9.]+_[0-9]+"')
_MARGINS = (0.72, 0.5, 0.14, 0.34)  # Left, bottom, right, top of a plot, in inches.
_STYLE = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",
    # Names of classes may hold dollars.
    "text.parse_math": False,
}


def can_plot() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def plot_png(
    draws: Sequence[Draw],
    columns: int,
    size: tuple[float, float],
    *,
    long_labels: bool = False,
) -> bytes:
    """The content of a PNG file with plots on white.

    Args:
        draws: Each draws on the axes that it is given.
        columns: Plots in a row.
        size: Width and height of a plot in inches, at 110 pixels an inch.
        long_labels: Of one plot: make room for the words at its sides.
    """
    with _figure(draws, columns, size, long_labels=long_labels) as figure:
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=110, facecolor="white")
        return content.getvalue()


def plot_svg(draw: Draw, name: str, size: tuple[float, float] = (4.8, 3.2)) -> str:
    """A plot as an `<svg>` element without size, colours of its own or a background.

    Its colours are the custom properties `--ink`, `--line` and `--c0` ... of the page.

    Args:
        draw: Draws on the axes that it is given.
        name: Of its own on the page.
        size: Width and height in inches, which give the proportions.
    """
    with _figure([draw], 1, size, **{"svg.hashsalt": name}) as figure:
        content = io.StringIO()
        no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(content, format="svg", transparent=True, metadata=no_metadata)
    text = content.getvalue()
    text = text[text.index("<svg") :]
    head, _, body = text.partition(">")
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    body = _UNUSED_ID.sub("", re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL))
    for color, variable in _VARIABLES.items():
        body = body.replace(color, variable)
    return f'{head} aria-hidden="true">{body}'.strip()


@contextlib.contextmanager
def _figure(
    draws: Sequence[Draw],
    columns: int,
    size: tuple[float, float],
    *,
    long_labels: bool = False,
    **settings: Any,
) -> Iterator[Any]:
    """A figure with the plots; `long_labels`: their margins are measured, which takes as long
    as drawing.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(columns, len(draws))
    rows = -(-len(draws) // columns)
    width, height = size
    left, bottom, right, top = _MARGINS
    layout = "constrained" if long_labels else None
    with matplotlib.rc_context({**_STYLE, **settings}):
        # Not through pyplot, which would keep the figure and ask for a screen.
        figure = Figure(figsize=(width * columns, height * rows), layout=layout)
        FigureCanvasAgg(figure)
        for position, draw in enumerate(draws):
            row, column = divmod(position, columns)
            place = (
                (column + left / width) / columns,
                (rows - 1 - row + bottom / height) / rows,
                (1 - (left + right) / width) / columns,
                (1 - (bottom + top) / height) / rows,
            )
            draw(figure.subplots() if long_labels else figure.add_axes(place))
        yield figure
