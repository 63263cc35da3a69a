"""Labels of the report for a task: metrics, columns of the class table, predictions."""

from __future__ import annotations

from typing import NamedTuple


class Column(NamedTuple):
    """A column of the class table.

    Attributes:
        key: Column name in `per_class.csv`.
        heading: Heading on the page.
        kind: "count", "percent" or "bar" (a percentage with a bar).
    """

    key: str
    heading: str
    kind: str


class ReportLabels(NamedTuple):
    """The report's labels for one task.

    Attributes:
        headline: Metric -> its name in the headline tiles; available ones are shown in order.
        curves: Metrics plotted over the training steps.
        curves_title: Title of that plot.
        metrics: (metric, description) rows of the metrics table.
        metrics_caption: Caption of that table.
        columns: Columns of the class table.
        classes_note: Note above the class table.
        pr_title: Title of the precision-recall plot.
        things: The second count beside images: its key in the facts and its noun; None: none.
        detected: Label of the predictions in the confusion matrix.
        matrix_title: Title of the confusion matrix.
        matrix_note: Note above the confusion matrix.
        predictions_note: Note above the photos.
        predicted_alt: Alternative texts of the pictures of which a photo consists.
        mistakes_note: Note above the worst mistakes.
        mistakes_alt: Alternative texts of the pictures of which a mistake consists.
        loss_note: What the validation loss is, beside the training losses.
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
    predictions_note: str = "The same photos at every evaluation."
    predicted_alt: tuple[str, ...] = ("Evaluated image.",)
    mistakes_note: str = "The worst mistakes first."
    mistakes_alt: tuple[str, ...] = ("Mistake.",)
    loss_note: str = "val_loss is the loss on the validation images."
