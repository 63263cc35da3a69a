import numpy as np
import pytest
import tensorflow as tf

from efficientvision.data import boxes as box_ops
from efficientvision.errors import UserError
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.detection import losses
from efficientvision.tasks.detection.alignment import task_aligned_targets
from efficientvision.tasks.detection.anchors import anchor_strides, generate_anchors
from efficientvision.tasks.detection.efficientdet_training import EfficientDetTrainingTask

OPTIONS = {"image_hw": (64, 96), "min_level": 3, "max_level": 5, "anchor_scale": 2.0}
ANCHORS, STRIDES = generate_anchors(**OPTIONS), anchor_strides(**OPTIONS)
NUM_CLASSES = 3
HPARAMS = {
    "num_classes": NUM_CLASSES,
    "image_size": "96x64",
    "min_level": 3,
    "max_level": 5,
    "anchor_scale": 2.0,
    "gamma": 2.0,
    "iou_loss_type": "ciou",
    "box_loss_weight": 0.0,
    "iou_loss_weight": 8.0,
}
# Two objects that overlap, one smaller than a cell, one beyond the edge, and padding.
BOXES = np.array(
    [
        [[4, 5, 30, 40], [10, 10, 50, 60], [33, 70, 36, 73], [-1, -1, -1, -1]],
        [[40, 50, 70, 99], [-1, -1, -1, -1], [-1, -1, -1, -1], [-1, -1, -1, -1]],
    ],
    np.float32,
)
# The first is an anchor itself, the others have its centre or one of its sides.
ON_ANCHORS = BOXES.copy()
ON_ANCHORS[0, :3] = [[4, 4, 20, 20], [16, 40, 56, 80], [20, 28, 52, 44]]
CLASSES = np.array([[1, 3, 2, -1], [2, -1, -1, -1]], np.int32)


def _outputs(seed=0):
    """Logits [2, A, K] and deltas [2, A, 4], rather good ones."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-2.0, 1.0, (2, len(ANCHORS), NUM_CLASSES)).astype(np.float32)
    return logits, rng.normal(0.0, 0.3, (2, len(ANCHORS), 4)).astype(np.float32)


def _iou(a, b):
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    inside = np.prod(np.maximum(high - low, 0.0))
    union = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - inside
    return inside / union


def _by_hand(logits, predicted, boxes, classes, top_k):
    """The assignment of one image, object by object and anchor by anchor."""
    owner, quality, best = (np.full(len(ANCHORS), v) for v in (-1, 0.0, 0.0))
    centers = (ANCHORS[:, :2] + ANCHORS[:, 2:]) / 2
    for row, (box, class_id) in enumerate(zip(boxes, classes, strict=True)):
        if class_id < 1:
            continue
        reach = np.maximum((box[2:] - box[:2]) / 2, STRIDES / 2)
        near = (np.abs(centers - (box[:2] + box[2:]) / 2) <= reach).all(1)
        overlap = np.array(
            [
                max(_iou(p, box), _iou(a, box)) if n else 0.0
                for p, a, n in zip(predicted, ANCHORS, near, strict=True)
            ]
        )
        aligned = overlap**6 / (1 + np.exp(-logits[:, class_id - 1]))
        chosen = [i for i in np.argsort(-aligned)[:top_k] if aligned[i] > 0]
        largest_iou = max(overlap[chosen], default=0.0)
        for i in chosen:
            if overlap[i] > best[i]:
                owner[i], best[i] = row, overlap[i]
                quality[i] = aligned[i] / aligned.max() * largest_iou
    return owner, quality


@pytest.mark.parametrize("top_k", [3, 13])
def test_assignment_agrees_with_one_by_hand(top_k):
    logits, deltas = _outputs()
    predicted = box_ops.decode(tf.constant(deltas), ANCHORS)
    targets = task_aligned_targets(logits, predicted, ANCHORS, STRIDES, BOXES, CLASSES, top_k=top_k)
    for image in range(2):
        owner, quality = _by_hand(
            logits[image], predicted[image].numpy(), BOXES[image], CLASSES[image], top_k
        )
        matched = owner >= 0
        expected = np.where(matched, CLASSES[image][owner] - 1, -1)
        np.testing.assert_array_equal(targets.class_targets[image], expected)
        boxes = np.where(matched[:, None], BOXES[image][owner], 0.0)
        np.testing.assert_array_equal(targets.boxes_yxyx[image], boxes)
        np.testing.assert_allclose(targets.quality[image], quality, rtol=1e-4, atol=1e-7)
        # Every object has an anchor, even the one that is smaller than a cell.
        assert set(owner[matched]) == set(np.flatnonzero(CLASSES[image] > 0))


def test_without_objects_nothing_is_matched():
    logits, deltas = _outputs()
    none = np.full_like(CLASSES, -1)
    targets = task_aligned_targets(
        logits, box_ops.decode(tf.constant(deltas), ANCHORS), ANCHORS, STRIDES, BOXES, none
    )
    assert np.all(targets.class_targets == -1) and not np.any(targets.quality)


def test_boxes_that_overflow_match_nothing_and_leave_the_others_alone():
    """Infinitely high and without width: their overlap is not a number."""
    logits, deltas = _outputs()
    deltas = np.array(deltas)
    deltas[:, ::2] = [0.0, 0.0, 90.0, -200.0]
    predicted = box_ops.decode(tf.constant(deltas), ANCHORS)
    targets = task_aligned_targets(logits, predicted, ANCHORS, STRIDES, BOXES, CLASSES)
    quality, matched = targets.quality.numpy(), targets.class_targets.numpy() >= 0
    assert np.isfinite(quality).all() and matched.any() and not matched[:, ::2].any()


def _task(**changes):
    return EfficientDetTrainingTask(get_config("efficientdet-d0", {**HPARAMS, **changes}))


def _levels(values, channels):
    """[B, A, channels] as the outputs of the levels."""
    counts = [8 * 12 * 9, 4 * 6 * 9, 2 * 3 * 9]
    shapes = [(-1, 8, 12, 9 * channels), (-1, 4, 6, 9 * channels), (-1, 2, 3, 9 * channels)]
    parts = tf.split(values, counts, axis=1)
    return [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]


def _losses(task, images=slice(None), normalizer=None, outputs=None, boxes=BOXES):
    logits, deltas = outputs or _outputs()
    batch = task.prepare(
        {
            "gt_boxes_yxyx": tf.constant(boxes[images]),
            "gt_classes": tf.constant(CLASSES[images]),
        }
    )
    normalizer = task.normalizer(batch, tf.identity) if normalizer is None else normalizer
    outputs = _levels(logits[images], NUM_CLASSES), _levels(deltas[images], 4)
    return task.losses_of(outputs, batch, normalizer=normalizer)


@pytest.mark.parametrize("boxes", [BOXES, ON_ANCHORS], ids=["boxes", "on anchors"])
def test_losses_of_aligned_targets(boxes):
    """The class loss is the quality focal loss of the assignment; boxes weigh by quality."""
    task = _task(assignment="task_aligned", class_loss="quality_focal")
    found = _losses(task, boxes=boxes)
    logits, deltas = _outputs()
    predicted = box_ops.decode(tf.constant(deltas), ANCHORS)
    targets = task_aligned_targets(logits, predicted, ANCHORS, STRIDES, boxes, CLASSES)
    wanted = np.zeros_like(logits, np.float64)
    matched = targets.class_targets.numpy() >= 0
    wanted[(*np.nonzero(matched), targets.class_targets.numpy()[matched])] = (
        targets.quality.numpy()[matched]
    )
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    entropy = -(wanted * np.log(p) + (1 - wanted) * np.log(1 - p))
    normalizer = 4 + 1  # Four objects.
    expected = ((wanted - p) ** 2 * entropy).sum() / normalizer
    assert float(found["cls_loss"]) == pytest.approx(expected, rel=1e-4)
    each = losses.iou_loss(predicted, targets.boxes_yxyx, "ciou").numpy()
    expected = (each * targets.quality.numpy()).sum() / (4 * normalizer)
    assert float(found["box_iou_loss"]) == pytest.approx(expected, rel=1e-4)
    total = float(found["cls_loss"]) + 8.0 * float(found["box_iou_loss"])
    assert float(found["loss"]) == pytest.approx(total, rel=1e-5)


def test_quality_of_anchors_that_overlap_an_object():
    """With assignment=iou, the score of a matched anchor learns the IoU of its box."""
    task = _task(class_loss="quality_focal")
    logits, deltas = _outputs()
    batch = task.prepare({"gt_boxes_yxyx": tf.constant(BOXES), "gt_classes": CLASSES})
    class_targets = batch["class_targets"].numpy()
    matched = class_targets >= 0
    predicted = box_ops.decode(tf.constant(deltas), ANCHORS)
    objects = box_ops.decode(batch["box_targets"], ANCHORS)
    overlap = box_ops.iou(predicted, objects).numpy()
    wanted = np.zeros_like(logits)
    wanted[(*np.nonzero(matched), class_targets[matched])] = overlap[matched]
    p = 1 / (1 + np.exp(-logits))
    entropy = -(wanted * np.log(p) + (1 - wanted) * np.log(1 - p))
    normalizer = float(task.normalizer(batch, tf.identity))
    found = _losses(task)
    expected = ((wanted - p) ** 2 * entropy).sum() / normalizer
    assert float(found["cls_loss"]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("assignment", ["iou", "task_aligned"])
@pytest.mark.parametrize("class_loss", ["focal", "quality_focal"])
def test_parts_of_a_batch_add_up(assignment, class_loss):
    task = _task(assignment=assignment, class_loss=class_loss)
    whole = _losses(task, normalizer=3.0)
    parts = [_losses(task, slice(i, i + 1), normalizer=3.0) for i in range(2)]
    for name, value in whole.items():
        assert float(value) == pytest.approx(sum(float(part[name]) for part in parts), rel=1e-5)
    assert float(whole["loss"]) > 0.0


def test_values_without_effect_are_errors():
    with pytest.raises(UserError, match="alpha=0.3 has no effect with class_loss=quality_focal"):
        _task(class_loss="quality_focal", alpha=0.3)


def test_gradients_are_finite_and_none_flow_through_the_assignment():
    """Even for predictions that overflow."""
    task = _task(assignment="task_aligned", class_loss="quality_focal")
    logits, deltas = map(tf.Variable, _outputs())
    deltas[0, :50].assign(tf.fill([50, 4], 90.0))
    logits[0, :50].assign(tf.fill([50, NUM_CLASSES], -200.0))
    with tf.GradientTape() as tape:
        loss = _losses(task, outputs=(logits, deltas))["loss"]
    for gradient in tape.gradient(loss, [logits, deltas]):
        assert np.isfinite(gradient).all() and np.any(gradient)
