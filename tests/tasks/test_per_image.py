"""The results of each image, by which metrics are resampled: together they are the metrics."""

import numpy as np
import pytest

from efficientvision.tasks.classification.evaluation import (
    MultiLabelEvaluation,
    SingleLabelEvaluation,
)
from efficientvision.tasks.segmentation.evaluation import SegmentationEvaluation
from tests.report.made_run import made_evaluation

IMAGES, CLASSES = 12, 7
NAMES = {k: f"class {k}" for k in range(1, CLASSES + 1)}


def _classifier(evaluation, several):
    """Logits in tenths, so that some are equal."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (IMAGES, CLASSES)).round(1).astype(np.float32)
    labels = rng.integers(-1, CLASSES - 1, IMAGES)
    if several:
        labels = rng.random((IMAGES, CLASSES)) < 0.3
    elif several is not None:
        labels[:3] = logits[:3].argmax(axis=1)
    batch = {
        "labels": labels,
        "images": np.zeros((IMAGES, 8, 8, 3), np.uint8),
        "source_id": list(map(str, range(IMAGES))),
    }
    evaluation.update({"logits": logits}, batch)
    return evaluation


def _segmenter():
    rng = np.random.default_rng(4)
    evaluation = SegmentationEvaluation(dict(enumerate(("sky", "sea", "sand", "never"))))
    masks = rng.choice([0, 1, 2, 255], (IMAGES, 6, 8)).astype(np.uint8)
    wrong = rng.random(masks.shape) < 0.4
    batch = {
        "masks": masks,
        "mask_sizes": np.array([[6, 8 - i % 2] for i in range(IMAGES)]),
        "images": np.zeros((IMAGES, 6, 8, 3), np.uint8),
        "source_id": list(map(str, range(IMAGES))),
    }
    predicted = np.where(wrong, rng.integers(0, 3, masks.shape), masks).astype(np.uint8)
    evaluation.update({"classes": np.minimum(predicted, 3)}, batch)
    return evaluation


MADE = {
    "detection": made_evaluation,
    "one label": lambda: _classifier(SingleLabelEvaluation(NAMES), several=False),
    "several labels": lambda: _classifier(MultiLabelEvaluation(NAMES), several=True),
    "segmentation": _segmenter,
}


@pytest.mark.parametrize("kind", MADE)
def test_all_images_once_give_the_metrics_of_the_evaluation(kind):
    evaluation = MADE[kind]()
    metrics = evaluation.compute()
    found = evaluation.per_image().metrics(np.ones(evaluation.per_image().num_images, np.int64))
    shared = {name for name in found if name in metrics}
    assert (
        shared
        >= {
            "detection": {"AP", "AP50", "AP75", "AP_/class 2"},
            "one label": {"top1", "top5"},
            "several labels": {"mAP", "F_O"},
            "segmentation": {"miou", "pixel_accuracy"},
        }[kind]
    )
    for name in shared:
        assert found[name] == pytest.approx(metrics[name], abs=1e-9)
    for row in evaluation.details().tables["per_class"]:
        for column in ("AP", "AP50", "F1", "IoU"):
            if (value := found.get(f"{column}_/{row['class']}")) is not None:
                assert value == pytest.approx(row[column], abs=1e-9)
    intervals = evaluation.intervals
    assert intervals.images == IMAGES or kind == "detection"
    for name in shared:
        assert intervals.of[name].low <= intervals.of[name].high <= 1
    first = next(iter(metrics))
    low, high = (f"{100 * limit:.1f}" for limit in intervals.of[first])
    report = evaluation.full_report(metrics)
    assert f"{low}   {high}" in report and "intervals are wide" in report
