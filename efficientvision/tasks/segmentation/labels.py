"""What the report of a segmenter calls things."""

from efficientvision.tasks.report_labels import Column, ReportLabels
from efficientvision.tasks.segmentation.metrics import MEANINGS

LABELS = ReportLabels(
    headline={"miou": "mIoU", "pixel_accuracy": "pixel accuracy"},
    curves=("miou", "pixel_accuracy"),
    curves_title="mIoU and pixel accuracy (validation), percent",
    metrics=tuple(MEANINGS.items()),
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
    things=("pixels", "pixels"),
    matrix_title="Confusion matrix (pixels)",
    matrix_note="What pixels of each class were taken for. The colour is the share of the row.",
    predictions_note=(
        "Photo, truth and prediction; what the truth ignores stays as it is in the photo. The same "
        "photos at every evaluation."
    ),
    predicted_alt=("Photo, truth and prediction.",),
)
