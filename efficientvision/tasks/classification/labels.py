"""Labels of a classifier's report."""

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
        Column("threshold", "at score", "percent"),
        Column("precision", "precision", "percent"),
        Column("recall", "recall", "percent"),
        Column("F1 at .5", "F1 at score .5", "percent"),
    ),
    classes_note=(
        "In percent. If a score is shown, it is the threshold with the best F1, and precision and "
        "recall are measured at that threshold. (Options such as min_score_thresh take a score of "
        "45 percent as 0.45.)"
    ),
    things=("labels", "labels"),
    matrix_note=(
        "Images by true class (rows) and predicted class (columns). The colour is the share of "
        "the row."
    ),
    predictions_note=(
        "The network's input, with true and predicted classes above. The same photos at every "
        "evaluation."
    ),
    mistakes_note=(
        "Wrong predictions with the highest scores first. What looks right here is often a wrong "
        "label."
    ),
    mistakes_alt=("The network's input.",),
    loss_note=(
        "val_loss is the cross entropy on the validation images, without augmentation and label "
        "smoothing: it compares with cls_loss, since loss includes the weight decay (reg_l2_loss)."
    ),
)
