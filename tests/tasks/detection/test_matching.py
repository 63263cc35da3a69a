import numpy as np
import pytest
import tensorflow as tf

from efficientvision.tasks.detection.anchors import generate_anchors
from efficientvision.tasks.detection.matching import BACKGROUND, assign_targets

ANCHORS = generate_anchors(256)


def _golden(arrays, name):
    levels = range(3, 8)
    return (
        arrays[f"{name}/gt_boxes"][None],
        arrays[f"{name}/gt_classes"][None, :, 0].astype(np.int32),
        np.concatenate([arrays[f"{name}/cls_targets_{level}"].ravel() for level in levels]),
        np.concatenate([arrays[f"{name}/box_targets_{level}"].reshape(-1, 4) for level in levels]),
        arrays[f"{name}/num_positives"],
    )


@pytest.mark.parametrize("name", ["labeler_a", "labeler_empty", "labeler_padded"])
def test_targets_are_the_originals(name, arrays):
    """But for padding rows, each of which takes an anchor there, of class -2."""
    boxes, classes, class_targets, box_targets, num_positives = _golden(arrays, name)
    of_padding = class_targets == -2
    assert of_padding.sum() == (classes < 1).sum()
    class_targets[of_padding], box_targets[of_padding] = BACKGROUND, 0.0
    targets = assign_targets(ANCHORS, boxes, classes)
    np.testing.assert_array_equal(targets.class_targets[0], class_targets)
    np.testing.assert_allclose(targets.box_targets[0], box_targets, atol=1e-5)
    assert float(targets.num_positives[0]) == num_positives - of_padding.sum()


def test_padding_changes_nothing(arrays):
    boxes, classes, *_ = _golden(arrays, "labeler_a")
    padded_boxes = np.concatenate([np.full((1, 2, 4), -1), boxes, np.full((1, 9, 4), -1)], axis=1)
    padded_classes = np.concatenate([np.full((1, 2), -1), classes, np.full((1, 9), -1)], axis=1)
    plain = assign_targets(ANCHORS, boxes, classes)
    padded = assign_targets(ANCHORS, padded_boxes, padded_classes)
    for a, b in zip(plain, padded, strict=True):
        np.testing.assert_array_equal(a, b)


def _brute_force(boxes, classes):
    """One [A_total, M] matrix of IoU (float32, so that ties fall alike), a loop over the boxes."""
    a = ANCHORS[:, None]
    b = boxes[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    inter = np.prod(np.maximum(sides, 0), -1)
    union = np.prod(a[..., 2:] - a[..., :2], -1) + np.prod(b[..., 2:] - b[..., :2], -1) - inter
    iou = inter / union
    expected = np.where(iou.max(1) >= 0.5, classes[iou.argmax(1)] - 1, BACKGROUND)
    for row in reversed(range(len(boxes))):
        expected[iou[:, row].argmax()] = classes[row] - 1
    return expected


def test_a_batch_agrees_with_brute_force_and_xla():
    rng = np.random.default_rng(3)
    corner = rng.uniform(0, 200, (3, 12, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(3, 90, (3, 12, 2))], -1).astype(np.float32)
    classes = rng.integers(1, 6, (3, 12)).astype(np.int32)
    targets = assign_targets(ANCHORS, boxes, classes)
    for i in range(3):
        np.testing.assert_array_equal(targets.class_targets[i], _brute_force(boxes[i], classes[i]))
    compiled = tf.function(lambda b, c: assign_targets(ANCHORS, b, c), jit_compile=True)
    for a, b in zip(targets, compiled(boxes, classes), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
