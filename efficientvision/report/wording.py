"""Labels of the report for each task: metrics, columns of the class table, predictions."""

from __future__ import annotations

from typing import Any, NamedTuple

from efficientvision.evaluation.classification import MEANINGS
from efficientvision.evaluation.coco import DESCRIPTIONS, METRIC_NAMES
from efficientvision.evaluation.segmentation import MEANINGS as MASK_MEANINGS
from efficientvision.evaluation.voc import MEANINGS as VOC_MEANINGS


class Column(NamedTuple):
    """A column of the class table.

    Attributes:
        key: Column name in `per_class.csv`.
        heading: Heading on the page.
        kind: "count", "percent", "bar" (a percentage with a bar) or "score".
    """

    key: str
    heading: str
    kind: str


class Wording(NamedTuple):
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
        pairs: Whether a predicted photo consists of two pictures side by side.
        predictions_note: Note above the photos.
        predicted_alt: Alternative texts of the photos.
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


DETECTION = Wording(
    headline={"AP": "AP", "AP50": "AP at IoU .50"},
    curves=("AP", "AP50", "AP75"),
    curves_title="Average precision (validation), percent",
    metrics=(
        *(
            (name, " ".join(meaning.split()))
            for name, meaning in zip(METRIC_NAMES, DESCRIPTIONS, strict=True)
        ),
        *VOC_MEANINGS.items(),
    ),
    metrics_caption="COCO metrics in percent",
    columns=(
        Column("images", "images", "count"),
        Column("instances", "objects", "count"),
        Column("AP", "AP", "bar"),
        Column("AP50", "AP50", "bar"),
        Column("AP75", "AP75", "bar"),
        Column("AR", "AR", "bar"),
        Column("F1", "best F1", "percent"),
        Column("threshold", "at score", "score"),
        Column("precision", "precision", "percent"),
        Column("recall", "recall", "percent"),
    ),
    classes_note=(
        "In percent. The score is the threshold with the class's best F1 at IoU .50; precision "
        "and recall are measured at that threshold."
    ),
    pr_title="Precision and recall, IoU .50",
    things=("objects", "objects"),
    detected="detected as",
    matrix_title="Confusion matrix, IoU .50",
    matrix_note=(
        "Rows are ground-truth classes, columns predicted classes, at IoU .50. The colour is the "
        "share of the row. The last column counts missed objects, the last row false positives "
        "on background."
    ),
    pairs=True,
    predictions_note=(
        "Left: ground truth. Right: detections. The same photos at every evaluation."
    ),
    predicted_alt=("Ground truth.", "Detections."),
)

CLASSIFICATION = Wording(
    headline={"top1": "top-1", "F_O": "overall F1", "top5": "top-5", "mAP": "mAP"},
    curves=("top1", "top5", "mAP", "F_O"),
    curves_title="Accuracy (validation), percent",
    metrics=tuple((name, f"{name}: {meaning}") for name, meaning in MEANINGS.items()),
    metrics_caption="Metrics in percent",
    columns=(
        Column("images", "images", "count"),
        Column("AP", "AP", "bar"),
        Column("F1", "F1", "bar"),
        Column("threshold", "at score", "score"),
        Column("precision", "precision", "percent"),
        Column("recall", "recall", "percent"),
        Column("F1 at .5", "F1 at score .5", "percent"),
    ),
    classes_note=(
        "In percent. If a score is shown, it is the threshold with the best F1, and precision and "
        "recall are measured at that threshold."
    ),
    pr_title="Precision and recall",
    things=("labels", "labels"),
    detected="predicted",
    matrix_title="Confusion matrix",
    matrix_note=(
        "Images by true class (rows) and predicted class (columns). The colour is the share of "
        "the row."
    ),
    pairs=False,
    predictions_note=(
        "The network's input, with true and predicted classes above. The same photos at every "
        "evaluation."
    ),
    predicted_alt=("Evaluated image.",),
)

SEGMENTATION = Wording(
    headline={"miou": "mIoU", "pixel_accuracy": "pixel accuracy"},
    curves=("miou", "pixel_accuracy"),
    curves_title="mIoU and pixel accuracy (validation), percent",
    metrics=tuple(MASK_MEANINGS.items()),
    metrics_caption="Metrics in percent",
    columns=(
        Column("pixels", "pixels", "count"),
        Column("IoU", "IoU", "bar"),
        Column("precision", "precision", "percent"),
        Column("recall", "recall", "percent"),
    ),
    classes_note=(
        "In percent, over the pixels of all images at the masks' original sizes. Classes without "
        "pixels have no IoU and do not count in the mean."
    ),
    pr_title="",
    things=("pixels", "pixels"),
    detected="predicted",
    matrix_title="Confusion matrix (pixels)",
    matrix_note=(
        "Pixels by true class (rows) and predicted class (columns). The colour is the share of "
        "the row."
    ),
    pairs=False,
    predictions_note=(
        "Photo, ground truth and prediction; ignored pixels show the photo. The same photos at "
        "every evaluation."
    ),
    predicted_alt=("Photo, ground truth and prediction.",),
)

_WORDINGS = {
    "detection": DETECTION,
    "classification": CLASSIFICATION,
    "segmentation": SEGMENTATION,
}
# A row with any of these metrics belongs to an evaluation.
METRICS = tuple(dict.fromkeys(name for w in _WORDINGS.values() for name in w.headline))


def wording_of(config: dict[str, Any]) -> Wording:
    """Returns the labels for a run with this configuration."""
    return _WORDINGS.get(config.get("task", ""), DETECTION)
