"""What the report of a classifier calls things."""

from efficientvision.tasks.classification.metrics import MEANINGS
from efficientvision.tasks.report_labels import Column, ReportLabels

LABELS = ReportLabels(
    headline={"top1": "top-1", "F_O": "overall F1", "top5": "top-5", "mAP": "mAP"},
    curves=("top1", "top5", "mAP", "F_O"),
    curves_title="Accuracy (validation), percent",
    metrics=tuple((name, f"{name}: {meaning}") for name, meaning in MEANINGS.items()),
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
    things=("labels", "labels"),
    matrix_note="What images of each class were taken for. The colour is the share of the row.",
    predictions_note=(
        "As the network saw them, under their truth and what was predicted; the same photos at "
        "every evaluation."
    ),
)
