"""The plots of a run: curves over the steps, curves of the classes, the confusion matrix."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from efficientvision.report.plots import FAINT, INK, SERIES

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

Series = Mapping[str, tuple[Sequence[float], Sequence[float]]]
MOST_NAMED = 8
MOST_TICKS = 100
_MOST_LINES = 100
_WRITTEN_CELLS = 15
# Characters per line of a name, and lines.
_NAME_WIDTH, _NAME_LINES = 24, 3


def draw_series(axes: Axes, title: str, series: Series, *, log: bool = False) -> None:
    """Draws lines over the training steps, those of validation metrics (`val_...`) dashed.

    Args:
        axes: Where to draw.
        title: Title of the plot.
        series: Name -> (steps, values); values that are not finite leave a gap.
        log: Use a logarithmic scale if the values span more than a factor of ten.
    """
    every = np.concatenate([np.asarray(values, float) for _, values in series.values()])
    positive = every[np.isfinite(every) & (every > 0)]
    named: dict[str, Artist] = {}
    log = log and len(positive) > 0 and positive.max() > 10 * positive.min()
    for (name, (steps, values)), color in zip(series.items(), SERIES, strict=False):
        values = np.asarray(values, float)
        values = np.where(np.isfinite(values) & ((values > 0) | (not log)), values, np.nan)
        (named[name],) = axes.plot(
            steps,
            values,
            color=color,
            marker="o" if len(steps) < 30 else None,
            markersize=3.5,
            linestyle="--" if name.startswith("val_") else "-",
            zorder=3 if name.startswith("val_") else 2,  # On top of the training losses.
        )
    if log:
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter("")
        if positive.max() < 1000 * positive.min():
            axes.yaxis.get_major_locator().set_params(subs=(1, 2, 5))
    else:
        axes.set_ylim(bottom=min(0, every.min(initial=0, where=np.isfinite(every))))
    # The default formatters write powers as math text, or above the axis, where the title is.
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.get_major_locator().set_params(integer=True, nbins=6)
    axes.set_title(wrapped(title, 2 * _NAME_WIDTH))
    axes.set_xlabel("step")
    axes.margins(x=0.02)
    axes.set_xlim(left=0)
    if len(series) > 1:
        _add_legend(axes, named)


def draw_precision_recall(
    axes: Axes,
    curves: Series,
    points: Mapping[str, tuple[float, float]],
    title: str,
) -> None:
    """Draws the precision-recall curve of each class, and the points of best F1, in percent.

    With more than `MOST_NAMED` classes, draws faint lines or a band, and names only the mean.

    Args:
        axes: Where to draw.
        curves: Class -> (recalls, precisions), the same recalls for all, 0..1.
        points: Class -> (recall, precision) at the threshold of its best F1.
        title: Title of the plot.
    """
    named = _draw_classes(axes, curves, points)
    axes.set(xlabel="recall, percent", ylabel="precision, percent")
    axes.set_title(wrapped(title, 2 * _NAME_WIDTH))
    _add_legend(axes, named)


def draw_f1(
    axes: Axes,
    curves: Series,
    points: Mapping[str, tuple[float, float]],
    threshold: float | None = None,
) -> None:
    """Draws F1 over the score threshold, in percent, like `draw_precision_recall`.

    Args:
        axes: Where to draw.
        curves: Class -> (score thresholds, F1), the same thresholds for all, 0..1.
        points: Class -> (score threshold, F1) of its best F1.
        threshold: Threshold to mark, that of the confusion matrix.
    """
    named = _draw_classes(axes, curves, points)
    if threshold is not None:
        mark = axes.axvline(100 * threshold, color=INK, linestyle=":", linewidth=1.2)
        named[f"best mean F1: {threshold:.0%}"] = mark
    axes.set(xlabel="score threshold, percent", ylabel="F1, percent")
    axes.set_title("F1 by score threshold")
    _add_legend(axes, named)


def _draw_classes(
    axes: Axes, curves: Series, points: Mapping[str, tuple[float, float]]
) -> dict[str, Artist]:
    """Draws a curve for each class, or their range and mean; returns the lines by name."""
    named: dict[str, Artist] = {}
    first = np.asarray(next(iter(curves.values()))[0])
    if len(curves) <= MOST_NAMED:
        for (name, (xs, ys)), color in zip(curves.items(), SERIES, strict=False):
            (named[name],) = axes.plot(100 * np.asarray(xs), 100 * np.asarray(ys), color=color)
            if name in points:
                axes.plot(*(100 * value for value in points[name]), "o", color=color, markersize=6)
    else:
        every = 100 * np.array([ys for _, ys in curves.values()])
        if len(curves) <= _MOST_LINES:
            lines = axes.plot(100 * first, every.T, color=FAINT, linewidth=0.8)
            named["each class"] = lines[0]
        else:
            band = np.percentile(every, [10, 90], axis=0)
            named["10th to 90th percentile"] = axes.fill_between(100 * first, *band, color=FAINT)
        mean = every.mean(axis=0)
        (named["mean over classes"],) = axes.plot(100 * first, mean, color=SERIES[0], linewidth=2.5)
    axes.set(xlim=(0, 101), ylim=(0, 102))
    return named


def draw_confusion(
    axes: Axes, labels: Sequence[str], counts: np.ndarray, *, title: str, detected: str
) -> None:
    """Draws a confusion matrix; the colour is the share of the row.

    Args:
        axes: Where to draw.
        labels: Names of rows and columns; with more than `MOST_TICKS`, only some are written.
        counts: [n, n], rows are ground truth, columns predictions.
        title: Title of the plot.
        detected: Label of the columns.
    """
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="equal")
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.6, label="percent of the row")
    bar.outline.set_visible(False)
    axes.grid(False)
    every = -(-len(labels) // MOST_TICKS)
    places = range(0, len(labels), every)
    # There is no room for several lines beside many cells.
    room = _NAME_WIDTH if len(places) <= 30 else 2 * _NAME_WIDTH
    names = [wrapped(labels[place], room) for place in places]
    size = max(5, min(9, 260 / max(len(names), 1)))
    axes.set_xticks(places, names, rotation=90, fontsize=size)
    axes.set_yticks(places, names, fontsize=size)
    axes.set(xlabel=detected, ylabel="ground truth")
    axes.set_title(wrapped(title, 2 * _NAME_WIDTH))
    if len(labels) > _WRITTEN_CELLS:
        return
    for row in range(len(labels)):
        for column in range(len(labels)):
            color = "white" if shares[row, column] > 55 else INK
            text = f"{int(counts[row, column]):,}"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=size)


def wrapped(name: str, width: int = _NAME_WIDTH) -> str:
    """Breaks a long name into lines; what does not fit into three ends in dots."""
    return "\n".join(
        textwrap.wrap(name, width, max_lines=_NAME_LINES, placeholder=" ...") or [name]
    )


def _add_legend(axes: Axes, named: Mapping[str, Artist]) -> None:
    """Adds a legend beside the curves with all names, even those that matplotlib would skip:
    `_background_`.
    """
    legend = axes.legend(
        list(named.values()),
        [str(k) for k in range(len(named))],
        loc="upper left",
        bbox_to_anchor=(1.02, 1.0),
        borderaxespad=0,
    )
    for text, name in zip(legend.get_texts(), named, strict=True):
        text.set_text(wrapped(name))
        text.set_label(name)
