"""The words of a task in the report: metrics, columns of a class, predictions."""

from __future__ import annotations

from typing import NamedTuple


class Column(NamedTuple):
    """A column of the table of classes.

    Attributes:
        key: In `per_class.csv`.
        heading: On the page.
        kind: "count", "percent", "bar" (a percentage with a bar) or "score".
    """

    key: str
    heading: str
    kind: str


class ReportLabels(NamedTuple):
    """The words of a task.

    Attributes:
        headline: Metric -> what it is called in large print; those that there are, in order.
        metrics: (metric, meaning) of the table of metrics: shares, and losses where the name ends
            with "loss".
        curves: Metrics of the plot over the steps.
        curves_title: Of that plot.
        metrics_caption: Of that table.
        columns: Of the table of classes.
        classes_note: Above it.
        pr_title: Of precision over recall.
        things: What is counted beside images: the fact's name and the noun; None: nothing.
        detected: What a prediction is called in the confusion matrix.
        matrix_title: Of its plot.
        matrix_note: Above it.
        pairs: Whether a predicted photo is two pictures side by side.
        predictions_note: Above the photos.
        predicted_alt: Their alternative texts.
    """

    headline: dict[str, str]
    metrics: tuple[tuple[str, str], ...]
    curves: tuple[str, ...] = ()
    curves_title: str = "Metrics (validation), percent"
    metrics_caption: str = "Metrics in percent"
    columns: tuple[Column, ...] = ()
    classes_note: str = ""
    pr_title: str = "Precision and recall"
    things: tuple[str, str] | None = None
    detected: str = "predicted"
    matrix_title: str = "Confusion matrix"
    matrix_note: str = ""
    pairs: bool = False
    predictions_note: str = "The same photos at every evaluation."
    predicted_alt: tuple[str, ...] = ("Evaluated image.",)
