"""The plots of a run: curves over the steps, precision-recall curves, the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from efficientvision.report.plots import FAINT, INK, SERIES

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

Series = Mapping[str, tuple[Sequence[float], Sequence[float]]]
MOST_NAMED = 8
_MOST_LINES = 100
_WRITTEN_CELLS = 15


def draw_series(axes: Axes, title: str, series: Series, *, log: bool = False) -> None:
    """Draws lines over the training steps.

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
        marker = "o" if len(steps) < 30 else None
        (named[name],) = axes.plot(steps, values, color=color, marker=marker, markersize=3.5)
    if log:
        axes.set_yscale("log")
        # The default formatter writes powers as math text.
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter("")
    else:
        axes.set_ylim(bottom=min(0, every.min(initial=0, where=np.isfinite(every))))
    axes.set_title(title)
    axes.set_xlabel("step")
    axes.margins(x=0.02)
    axes.set_xlim(left=0)
    if len(series) > 1:
        _add_legend(axes, named, "best")


def draw_precision_recall(
    axes: Axes,
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    points: Mapping[str, tuple[float, float]],
    title: str,
) -> None:
    """Draws the precision-recall curve of each class, and the points of best F1.

    With more than `MOST_NAMED` classes, draws faint lines or a band, and names only the mean.

    Args:
        axes: Where to draw.
        curves: Class -> (recalls, precisions), the same recalls for all.
        points: Class -> (recall, precision) at the threshold of its best F1.
        title: Title of the plot.
    """
    named: dict[str, Artist] = {}
    if len(curves) <= MOST_NAMED:
        for (name, (recalls, precisions)), color in zip(curves.items(), SERIES, strict=False):
            (named[name],) = axes.plot(recalls, precisions, color=color)
            if name in points:
                axes.plot(*points[name], "o", color=color, markersize=6)
    else:
        recalls = next(iter(curves.values()))[0]
        every = np.array([precisions for _, precisions in curves.values()])
        if len(curves) <= _MOST_LINES:
            axes.plot(recalls, every.T, color=FAINT, linewidth=0.8)
        else:
            band = np.percentile(every, [10, 90], axis=0)
            named["10th to 90th percentile"] = axes.fill_between(recalls, *band, color=FAINT)
        mean = every.mean(axis=0)
        (named["mean over classes"],) = axes.plot(recalls, mean, color=SERIES[0], linewidth=2.5)
    axes.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.set_title(title)
    _add_legend(axes, named, "lower left")


def draw_confusion(
    axes: Axes, labels: Sequence[str], counts: np.ndarray, *, title: str, detected: str
) -> None:
    """Draws a confusion matrix; the colour is the share of the row.

    Args:
        axes: Where to draw.
        labels: Names of rows and columns.
        counts: [n, n], rows are ground truth, columns predictions.
        title: Title of the plot.
        detected: Label of the columns.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    axes.grid(False)
    size = max(4, min(9, 260 / max(len(labels), 1)))
    axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=size)
    axes.set_yticks(range(len(labels)), labels, fontsize=size)
    axes.set(xlabel=detected, ylabel="ground truth")
    axes.set_title(title)
    if len(labels) > _WRITTEN_CELLS:
        return
    for row in range(len(labels)):
        for column in range(len(labels)):
            color = "white" if shares[row, column] > 0.55 else INK
            text = str(int(counts[row, column]))
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=size)


def _add_legend(axes: Axes, named: Mapping[str, Artist], place: str) -> None:
    """Adds a legend with all names, even those that matplotlib would skip: `_background_`."""
    legend = axes.legend(list(named.values()), [str(k) for k in range(len(named))], loc=place)
    for text, name in zip(legend.get_texts(), named, strict=True):
        text.set_text(name)
