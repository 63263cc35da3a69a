"""The charts of the model zoo: published accuracy against counted size."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from docs.zoo.counts import Counts
from docs.zoo.rows import Row
from efficientvision.registry import efficientdet_names, family_of

FOLDER = pathlib.Path(__file__).parent
# Of a row's metrics the first of these that it has.
_METRICS = ("AP val", "AP", "top-1", "mIoU val")
_SIDES = {"convolutions": "multiply-adds of the convolutions", "parameters": "parameters"}
# Series of which another one lies on the upper left: their labels go to the other side.
_LABELLED_BELOW = (
    "EfficientDet with",
    "EfficientDet-lite",
    "efficientnet-lite",
    "shufflenetv2",
    "espnetv2 SSD",
    "dicenet at",
)


@dataclasses.dataclass(frozen=True)
class Chart:
    """A picture: its file, its caption, and the title of each row of plots by data set."""

    file: str
    caption: str
    axes: Mapping[str, str]


CHARTS = {
    "detection": Chart(
        "detection.png",
        "COCO AP as published against multiply-adds and parameters as counted here",
        {"COCO": "published AP on COCO, %"},
    ),
    "classification": Chart(
        "classification.png",
        "ImageNet top-1 as published against multiply-adds and parameters as counted here",
        {"ImageNet": "published top-1 on ImageNet, %"},
    ),
    "segmentation": Chart(
        "segmentation.png",
        "Mean IoU as published against multiply-adds and parameters as counted here",
        {
            "PASCAL VOC": "published mIoU on PASCAL VOC, %",
            "Cityscapes": "published mIoU on Cityscapes, %",
        },
    ),
}

# Label beside the point, size, accuracy.
Point = tuple[str, int, float]
Series = dict[str, list[Point]]


def series(rows: Sequence[Row], counts: Mapping[str, Counts], task: str, data: str, size: str):
    """Collects the points of one plot.

    Args:
        rows: the zoo.
        counts: `Row.key` -> counts.
        task: task of the rows.
        data: data set that they were trained on.
        size: `"convolutions"` or `"parameters"`.

    Returns:
        Name of a family -> its points, in the order of the zoo.
    """
    found: Series = {}
    for row in rows:
        metric = next((metric for metric in _METRICS if metric in row.accuracy), None)
        if (row.task, row.data) == (task, data) and metric:
            name, label = _series_of(row)
            point = (label, counts[row.key][size], row.accuracy[metric])
            found.setdefault(name, []).append(point)
    return found


def chart_data(rows: Sequence[Row], counts: Mapping[str, Counts], task: str) -> list[Any]:
    """The data of a chart: for each of its plots the data set, the size and the series."""
    return [
        [data, size, series(rows, counts, task, data, size)]
        for data in CHARTS[task].axes
        for size in _SIDES
    ]


def draw_chart(data: Sequence[Any], task: str) -> bytes:
    """Draws a task's chart as PNG.

    Args:
        data: result of `chart_data`.
        task: the task.
    """
    from efficientvision.report.plots import plot_png

    chart = CHARTS[task]
    draws = [
        lambda axes, name=name, size=size, lines=lines: _draw(axes, chart.axes[name], size, lines)
        for name, size, lines in data
    ]
    return plot_png(draws, columns=2, size=(6.2, 4.4))


def _draw(axes: Any, title: str, size: str, lines: Series) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    from efficientvision.report.plots import SERIES

    for index, (name, points) in enumerate(lines.items()):
        labels, sizes, accuracies = zip(*points, strict=True)
        color = SERIES[index % len(SERIES)]
        axes.plot(sizes, accuracies, "o-", color=color, label=name, markersize=4, linewidth=1.4)
        below = name == "espnetv2" or name.startswith(_LABELLED_BELOW)
        offset, side = ((4, -9), "left") if below else ((-4, 4), "right")
        style = {"textcoords": "offset points", "fontsize": 7.5, "color": color, "ha": side}
        for label, x, y in zip(labels, sizes, accuracies, strict=True):
            axes.annotate(label, (x, y), offset, **style)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.xaxis.set_major_formatter(lambda value, position: _short(value))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.08, y=0.08)
    axes.set_title(title)
    axes.set_xlabel(f"{_SIDES[size]}, counted here")
    axes.legend(loc="upper left")


def _short(value: float) -> str:
    """Formats a round number of an axis: `30M`, `1B`."""
    for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g}{letter}"
    return f"{value:.3g}"


def _series_of(row: Row) -> tuple[str, str]:
    """The family that a row is drawn with, and its label there."""
    if row.model in efficientdet_names():
        label = row.model.removeprefix("efficientdet-")
        fusion = row.options.get("fpn_name")
        lite = "-lite" if label.startswith("lite") else ""
        return f"EfficientDet{lite}{f' with {fusion.upper()}' if fusion else ''}", label
    family = family_of(row.model)
    label = row.model.partition("_s_")[2] or row.model.partition("-")[2]
    if row.task == "classification":
        return family + ("-lite" if label.startswith("lite") else ""), label
    if row.task == "detection":
        return f"{family} SSD", f"{label} at {row.image_size.partition('x')[0]}"
    return f"{family} at {row.image_size}", label
