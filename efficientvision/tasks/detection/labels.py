"""Labels of a detector's report."""

from efficientvision.tasks.detection.coco import DESCRIPTIONS, METRIC_NAMES
from efficientvision.tasks.detection.voc import MEANINGS as VOC_MEANINGS
from efficientvision.tasks.report_labels import Column, ReportLabels
from efficientvision.tasks.training_task import VAL_LOSS

LABELS = ReportLabels(
    headline={"AP": "AP", "AP50": "AP at IoU .50"},
    curves=("AP", "AP50", "AP75"),
    curves_title="Average precision (validation), percent",
    metrics=(
        *(
            (name, " ".join(meaning.split()))
            for name, meaning in zip(METRIC_NAMES, DESCRIPTIONS, strict=True)
        ),
        *VOC_MEANINGS.items(),
        (VAL_LOSS, "loss on the validation images"),
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
        Column("threshold", "at score", "percent"),
        Column("precision", "precision", "percent"),
        Column("recall", "recall", "percent"),
    ),
    classes_note=(
        "In percent. The score is the threshold with the class's best F1 at IoU .50; precision "
        "and recall are measured at that threshold. (Options such as min_score_thresh take a "
        "score of 45 percent as 0.45.)"
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
    predictions_note=(
        "Left: ground truth. Right: detections. The same photos at every evaluation."
    ),
    predicted_alt=("Ground truth.", "Detections."),
    mistakes_note=(
        "Blue boxes are ground truth, orange ones detections; the object in question is labelled "
        "and has thick lines. Invented and confused objects are sorted by score, missed ones by "
        "size, and the kinds take turns. IoU is the overlap of the two labelled boxes."
    ),
    mistakes_alt=("Part of a photo with ground truth and detections.",),
    loss_note=(
        "val_loss is det_loss on the validation images, without augmentation: it compares with "
        "det_loss, since loss includes the weight decay (reg_l2_loss)."
    ),
)
