"""Renders plots with matplotlib, as PNG and as SVG in the page's colours."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Draw = Callable[["Axes"], None]

# Eight colours that colour-blind people can distinguish (Okabe and Ito), darkened for white paper.
# The page has other tones in dark mode: `--c0` ... in style.css.
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
_LINES = {"--": "dashed", ":": "dotted"}
# Unreferenced identifiers, which would repeat in every plot of a page.
_UNUSED_ID = re.compile(r' id="[a-zA-Z0-9.]+_[0-9]+"')
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
    # Class names may contain dollar signs.
    "text.parse_math": False,
}


def can_plot() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def plot_png(
    draws: Sequence[Draw],
    columns: int,
    size: tuple[float, float],
) -> bytes:
    """Returns the content of a PNG file with plots on white.

    Args:
        draws: Functions that each draw on the given axes.
        columns: Plots per row.
        size: Width and height of a plot in inches, at 110 pixels per inch.
    """
    with _figure(draws, columns, size) as figure:
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=110, facecolor="white")
        return content.getvalue()


class Entry(NamedTuple):
    """An entry of a legend.

    Attributes:
        name: The whole name.
        color: Custom property of the page: `var(--c0)`.
        line: "solid", "dashed" or "dotted".
    """

    name: str
    color: str
    line: str


class Svg(NamedTuple):
    """A plot for the page: an `<svg>` element, and the legend to write beside it."""

    element: str
    legend: tuple[Entry, ...]


def plot_svg(draw: Draw, name: str, size: tuple[float, float] = (4.8, 3.2)) -> Svg:
    """Returns a plot as an `<svg>` element without size, background or legend.

    Its colours are the page's custom properties `--ink`, `--line` and `--c0` ... The legend is left
    to the page, which has room for long names and wraps it on a phone.

    Args:
        draw: Function that draws on the given axes.
        name: Name, unique on the page.
        size: Width and height in inches, which set the aspect ratio.
    """
    with _figure([draw], 1, size, **{"svg.hashsalt": name}) as figure:
        legend = _without_legend(figure.axes[0])
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
    return Svg(f'{head} aria-hidden="true">{body}'.strip(), legend)


def _without_legend(axes: Axes) -> tuple[Entry, ...]:
    """Removes the legend from a plot and returns its entries."""
    from matplotlib.colors import to_hex

    legend = axes.get_legend()
    if legend is None:
        return ()
    entries = []
    for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
        is_line = hasattr(handle, "get_linestyle") and hasattr(handle, "get_color")
        color = to_hex(handle.get_color() if is_line else handle.get_facecolor())
        line = _LINES.get(handle.get_linestyle(), "solid") if is_line else "solid"
        entries.append(Entry(str(text.get_label()), _VARIABLES.get(color, color), line))
    legend.remove()
    return tuple(entries)


@contextlib.contextmanager
def _figure(
    draws: Sequence[Draw],
    columns: int,
    size: tuple[float, float],
    **settings: Any,
) -> Iterator[Any]:
    """A figure with the plots, whose margins fit their labels and legends."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(columns, len(draws))
    rows = -(-len(draws) // columns)
    width, height = size
    with matplotlib.rc_context({**_STYLE, **settings}), warnings.catch_warnings():
        # Names in scripts that the font lacks: the page's plots are text for the browser's fonts.
        warnings.filterwarnings("ignore", message="Glyph")
        # pyplot would keep the figure alive and may need a display.
        figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
        FigureCanvasAgg(figure)
        for position, draw in enumerate(draws, start=1):
            draw(figure.add_subplot(rows, columns, position))
        yield figure
