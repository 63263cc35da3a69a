"""Labels of a task in the report: metrics, per-class columns, predictions."""

from __future__ import annotations

from typing import NamedTuple


class Column(NamedTuple):
    """A column of the per-class table.

    Attributes:
        key: Column name in `per_class.csv`.
        heading: Column heading on the page.
        kind: "count", "percent", "bar" (a percentage with a bar) or "score".
    """

    key: str
    heading: str
    kind: str


class ReportLabels(NamedTuple):
    """Report labels of a task.

    Attributes:
        headline: Metric -> label in large print; available metrics are shown in this order.
        curves: Metrics plotted over the steps.
        curves_title: Title of that plot.
        metrics: (metric, meaning) rows of the metrics table.
        metrics_caption: Caption of that table.
        columns: Columns of the per-class table.
        classes_note: Note above that table.
        pr_title: Title of the precision-recall plot.
        things: (fact, noun) of what is counted besides images; None for nothing.
        detected: Label of the prediction axis of the confusion matrix.
        matrix_title: Title of the confusion matrix.
        matrix_note: Note above the confusion matrix.
        pairs: Whether a predicted photo is shown as two pictures side by side.
        predictions_note: Note above the predicted photos.
        predicted_alt: Alt texts of the predicted photos.
    """

    headline: dict[str, str]
    curves: tuple[str, ...]
    curves_title: str
    metrics: tuple[tuple[str, str], ...]
    metrics_caption: str
    columns: tuple[Column, ...]
    classes_note: str
    pr_title: str
    things: tuple[str, str] | None
    detected: str
    matrix_title: str
    matrix_note: str
    pairs: bool
    predictions_note: str
    predicted_alt: tuple[str, ...]
