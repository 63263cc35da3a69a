"""Labels of a segmenter's report."""

from efficientvision.tasks.report_labels import Column, ReportLabels
from efficientvision.tasks.segmentation.metrics import MEANINGS
from efficientvision.tasks.training_task import VAL_LOSS

LABELS = ReportLabels(
    headline={"miou": "mIoU", "pixel_accuracy": "pixel accuracy"},
    curves=("miou", "pixel_accuracy"),
    curves_title="mIoU and pixel accuracy (validation), percent",
    metrics=(*MEANINGS.items(), (VAL_LOSS, "loss on the validation images")),
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
    things=("pixels", "pixels"),
    matrix_title="Confusion matrix (pixels)",
    matrix_note=(
        "Pixels by true class (rows) and predicted class (columns). The colour is the share of "
        "the row."
    ),
    predictions_note=(
        "Photo, ground truth and prediction; ignored pixels show the photo. The same photos at "
        "every evaluation."
    ),
    predicted_alt=("Photo.", "Ground truth.", "Prediction."),
    mistakes_note=(
        "The photos with the largest share of wrong pixels. The last picture shows wrong pixels "
        "in red and ignored ones dark."
    ),
    mistakes_alt=("Photo.", "Ground truth.", "Prediction.", "Wrong pixels."),
    loss_note=(
        "val_loss is seg_loss on the validation images at the network's input size, without "
        "augmentation: it compares with seg_loss, since loss includes the weight decay "
        "(reg_l2_loss)."
    ),
)
