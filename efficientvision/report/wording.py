"""What the report calls things, by task: metrics, columns of a class, predictions."""

from __future__ import annotations

from typing import Any, NamedTuple

from efficientvision.evaluation.classification import MEANINGS
from efficientvision.evaluation.coco import DESCRIPTIONS, METRIC_NAMES
from efficientvision.evaluation.segmentation import MEANINGS as MASK_MEANINGS
from efficientvision.evaluation.voc import MEANINGS as VOC_MEANINGS


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


class Wording(NamedTuple):
    """The words of a task.

    Attributes:
        headline: Metric -> what it is called in large print; those that there are, in order.
        curves: Metrics of the plot over the steps.
        curves_title: Of that plot.
        metrics: (metric, meaning) of the table of metrics.
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
        "In percent. The score is the threshold at which a class has its best F1 at IoU .50; "
        "precision and recall are those it then has."
    ),
    pr_title="Precision and recall, IoU .50",
    things=("objects", "objects"),
    detected="detected as",
    matrix_title="Confusion matrix, IoU .50",
    matrix_note=(
        "What objects were detected as, at IoU .50. The colour is the share of the row; the last "
        "column has the objects that were missed, the last row detections of nothing."
    ),
    pairs=True,
    predictions_note=(
        "Left the truth, right what was detected; the same photos at every evaluation."
    ),
    predicted_alt=("Truth.", "Detections."),
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
        "In percent. Where a score is given, F1 is the best of all thresholds, that score; "
        "precision and recall are those the class then has."
    ),
    pr_title="Precision and recall",
    things=("labels", "labels"),
    detected="predicted",
    matrix_title="Confusion matrix",
    matrix_note="What images of each class were taken for. The colour is the share of the row.",
    pairs=False,
    predictions_note=(
        "As the network saw them, under their truth and what was predicted; the same photos at "
        "every evaluation."
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
        "In percent, over the pixels of all images, at the masks' own sizes. A class without "
        "pixels has none, and the mean leaves it out."
    ),
    pr_title="",
    things=("pixels", "pixels"),
    detected="predicted",
    matrix_title="Confusion matrix (pixels)",
    matrix_note="What pixels of each class were taken for. The colour is the share of the row.",
    pairs=False,
    predictions_note=(
        "Photo, truth and prediction; what the truth ignores stays as it is in the photo. The same "
        "photos at every evaluation."
    ),
    predicted_alt=("Photo, truth and prediction.",),
)

_WORDINGS = {
    "detection": DETECTION,
    "classification": CLASSIFICATION,
    "segmentation": SEGMENTATION,
}
# Any of these makes a row of numbers that of an evaluation.
METRICS = tuple(dict.fromkeys(name for w in _WORDINGS.values() for name in w.headline))


def wording_of(config: dict[str, Any]) -> Wording:
    """The words for a run of this configuration."""
    return _WORDINGS.get(config.get("task", ""), DETECTION)
