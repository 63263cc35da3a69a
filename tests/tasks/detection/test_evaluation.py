"""Photos with boxes: where they are drawn, which photos they are."""

import numpy as np
import pytest

from efficientvision.tasks.detection.coco import CocoEvaluator
from efficientvision.tasks.detection.evaluation import (
    SHOWN_PHOTOS,
    DetectionEvaluation,
    draw_training_examples,
)
from efficientvision.visualize.draw import class_color
from efficientvision.visualize.sheet import panels

NAMES = {1: "one", 2: "two"}
BOX = [40.0, 20.0, 80.0, 100.0]  # Of a photo 120 wide and 90 high.


def _evaluation(images, detected=BOX, *, total=None, results_path=None, voc=False):
    """Grey photos, each with an object of class 1 at `BOX`, detected as class 2 somewhere."""
    evaluation = DetectionEvaluation(
        CocoEvaluator(None, NAMES, backend="pycocotools"), results_path, total or images, voc=voc
    )
    for start in range(0, images, 4):
        count = min(4, images - start)
        photo = np.zeros((count, 64, 64, 3), np.float32)
        photo[:, :48] = 128.0  # 120x90, fitted into 64x64.
        evaluation.update(
            {
                "boxes_yxyx": np.tile([[detected, BOX]], (count, 1, 1)),
                "scores": np.tile([[0.8, 0.01]], (count, 1)),
                "classes": np.tile([[2, 2]], (count, 1)),
                "valid_len": np.full(count, 2),
            },
            {
                "images": photo,
                "valid_hw": np.tile([[48, 64]], (count, 1)),
                "original_hw": np.tile([[90, 120]], (count, 1)),
                "source_id": np.array([str(start + i).encode() for i in range(count)], object),
                "gt_boxes_original_yxyx": np.tile([[BOX]], (count, 1, 1)),
                "gt_classes_original": np.tile([[1]], (count, 1)),
                "gt_is_crowd": np.zeros((count, 1), bool),
            },
        )
    return evaluation


def _frame(half, color):
    """ymin, xmin, ymax, xmax of a half's pixels of a colour, in pixels of the photo."""
    bar = half.height - 420  # The title's.
    pixels = np.asarray(half, int)[bar:]
    y, x = np.nonzero(np.abs(pixels - color).max(axis=-1) < 12)
    return np.array([y.min(), x.min(), y.max(), x.max()]) * 120 / 560


def test_boxes_stand_where_they_are_on_the_photo():
    evaluation = _evaluation(1, [10.0, 60.0, 70.0, 118.0])
    evaluation.compute()
    (picture,) = evaluation.pictures()
    truth, found = panels(picture)
    assert truth.size == (560, picture.image.height)
    # A label stands above a box: its top is only bounded by it.
    frame = _frame(truth, class_color(1))
    np.testing.assert_allclose(frame[1:], BOX[1:], atol=1)
    assert frame[0] <= BOX[0]
    np.testing.assert_allclose(_frame(found, class_color(2))[1:], [60, 70, 118], atol=1)
    assert picture.caption == "Image 0: 1 object, 1 detected."


@pytest.mark.parametrize(("images", "shown"), [(3, 3), (30, SHOWN_PHOTOS)])
def test_the_same_photos_from_first_to_last(images, shown):
    captions = []
    for _ in range(2):
        evaluation = _evaluation(images)
        evaluation.compute()
        captions.append([picture.caption for picture in evaluation.pictures()])
    assert captions[0] == captions[1] and len(captions[0]) == shown
    assert captions[0][0].startswith("Image 0:")
    assert captions[0][-1].startswith(f"Image {images - 1}:")


def test_test_dev_has_no_details(tmp_path):
    evaluation = _evaluation(2, results_path=str(tmp_path / "detections.json"))
    assert evaluation.compute() == {}
    assert evaluation.details() is None and evaluation.pictures() == []


def test_training_examples_show_what_the_network_gets():
    batch = {
        "images": np.full((3, 32, 64, 3), 90, np.uint8),
        "gt_boxes_yxyx": np.array([[[8, 16, 24, 48], [-1, -1, -1, -1]]] * 3, np.float32),
        "gt_classes": np.array([[2, -1]] * 3),
    }
    pictures = draw_training_examples(batch, NAMES, 2)
    assert len(pictures) == 2 and pictures[0].caption == "1 object"
    image = np.asarray(pictures[0].image, int)
    y, x = np.nonzero(np.abs(image - class_color(2)).max(axis=-1) < 12)
    scale = image.shape[1] / 64
    np.testing.assert_allclose([x.min(), y.max(), x.max()], np.array([16, 24, 48]) * scale, atol=3)


def test_voc_metrics_stand_beside_cocos():
    """A wrong detection of one class stands before the right one of the other."""
    evaluation = _evaluation(2, voc=True)
    metrics = evaluation.compute()
    assert metrics["VOC07_mAP"] == metrics["VOC_AP_/one"] == 0.0
    assert "VOC07_AP_/two" not in metrics
    report = evaluation.report(metrics)
    assert "COCO metric" in report and "PASCAL VOC" in report
    assert not any(name.startswith("VOC") for name in _evaluation(2).compute())
