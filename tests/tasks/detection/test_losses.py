import pathlib

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.data import boxes as box_ops
from efficientvision.errors import UserError
from efficientvision.tasks.detection import losses
from efficientvision.tasks.detection.anchors import generate_anchors
from efficientvision.tasks.detection.matching import AnchorTargets, assign_targets

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "goldens"


def class_loss(logits, one_hot, normalizer=1.0, **options):
    """`cls_loss` of logits [n]: each is an anchor of its own, with one class."""
    labels = AnchorTargets(
        tf.cast(one_hot, tf.int32)[tf.newaxis] - 1,
        tf.zeros([1, len(one_hot), 4]),
        tf.zeros([1]),
    )
    found = losses.detection_losses(
        [tf.reshape(logits, [1, -1, 1, 1])],
        [tf.zeros([1, len(one_hot), 1, 4])],
        labels,
        num_classes=1,
        anchors=None,
        normalizer=normalizer,
        **options,
    )
    return found["cls_loss"]


def test_focal_loss_elementwise(arrays, cases):
    """As a batch of images with one logit each, of which every loss is the golden's element."""
    logits, one_hot = (arrays[f"focal/{name}"].reshape(-1, 1) for name in ("logits", "onehot"))
    for name, case in cases["focal"]["cases"].items():
        options = {key: case[key] for key in ("alpha", "gamma", "label_smoothing")}

        @tf.function
        def each(options=options):
            return tf.map_fn(
                lambda pair: class_loss(*pair, cases["focal"]["normalizer"], **options),
                (tf.constant(logits), tf.constant(one_hot, tf.float32)),
                fn_output_signature=tf.float32,
            )

        np.testing.assert_allclose(each(), arrays[name].ravel(), rtol=1e-5, atol=1e-6)


def test_focal_loss_of_extreme_logits_is_finite():
    expected = {
        (-200.0, 0): (0.0, 0.0),
        (200.0, 0): (150.0, 0.75),
        (-200.0, 1): (50.0, -0.25),
        (200.0, 1): (0.0, 0.0),
    }
    for (logit, label), (value, slope) in expected.items():
        logits = tf.constant([logit])
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = class_loss(logits, [label])
        np.testing.assert_allclose(loss, value, atol=1e-5)
        np.testing.assert_allclose(tape.gradient(loss, logits), [slope], atol=1e-5)


def test_box_loss(arrays, cases):
    for name, case in cases["box"]["cases"].items():
        delta = case["delta"]
        loss = losses.box_loss(
            arrays["box/outputs"], arrays["box/targets"], num_positives=5.0, delta=delta
        )
        assert float(loss) == pytest.approx(case["value"], rel=1e-5)
        elementwise = losses.huber(arrays["box/outputs"] - arrays["box/targets"], delta)
        unmasked = arrays[name.replace("out_", "huber_unmasked_")]
        np.testing.assert_allclose(elementwise, unmasked, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", losses.IOU_LOSS_TYPES)
def test_iou_loss_and_gradient(kind, arrays):
    pred = tf.constant(arrays["iou/pred"])
    with tf.GradientTape() as tape:
        tape.watch(pred)
        loss = losses.iou_loss(pred, arrays["iou/target"], kind)
    np.testing.assert_allclose(loss, arrays[f"iou/loss_{kind}"], rtol=1e-5, atol=1e-6)
    gradient = tape.gradient(loss, pred)
    np.testing.assert_allclose(gradient, arrays[f"iou/grad_{kind}"], rtol=1e-4, atol=1e-6)


def test_iou_loss_of_eight_columns_is_the_sum_of_its_boxes(arrays):
    loss = losses.iou_loss(arrays["iou/pred"], arrays["iou/target"], "ciou").numpy()
    np.testing.assert_allclose(loss[:32] + loss[32:], arrays["iou/loss_ciou_8col"], atol=1e-5)


def test_unknown_iou_loss():
    with pytest.raises(UserError, match="'eiou'.*ciou"):
        losses.iou_loss(np.zeros((1, 4)), np.zeros((1, 4)), "eiou")


@pytest.mark.parametrize("kind", ["iou", "giou", "diou", "ciou"])
def test_each_iou_loss_brings_boxes_to_their_targets(kind):
    """Box deltas moved against the gradient alone: the loss falls and stays finite, boxes meet."""
    random = np.random.default_rng(0)
    anchors = np.tile([[40.0, 40.0, 72.0, 72.0]], (30, 1)).astype(np.float32)
    targets = tf.constant(random.normal(0, [0.2, 0.2, 0.3, 0.3], (30, 4)).astype(np.float32))
    box_deltas = tf.Variable(tf.zeros([30, 4]))
    values = []

    @tf.function
    def loss_and_gradient():
        with tf.GradientTape() as tape:
            loss = losses.box_iou_loss(
                box_deltas, targets, anchors, num_positives=30.0, iou_loss_type=kind
            )
        return loss, tape.gradient(loss, box_deltas)

    for _ in range(80):
        loss, gradient = loss_and_gradient()
        assert np.isfinite(gradient).all()
        box_deltas.assign_sub(2.0 * gradient)
        values.append(float(loss))
    assert np.isfinite(values).all() and values[-1] < 0.15 * values[0]
    overlap = box_ops.iou(box_ops.decode(box_deltas, anchors), box_ops.decode(targets, anchors))
    assert float(tf.reduce_mean(overlap)) > 0.95


def test_box_iou_loss(arrays, cases):
    anchors = np.tile(generate_anchors(128), [2, 1])
    for kind, value in cases["boxiou"]["cases"].items():
        loss = losses.box_iou_loss(
            arrays["boxiou/outputs"],
            arrays["boxiou/targets"],
            anchors,
            num_positives=cases["boxiou"]["num_positives"],
            iou_loss_type=kind,
        )
        assert float(loss) == pytest.approx(value, rel=1e-5)


@pytest.fixture(scope="module")
def training_case():
    """Outputs of a D0 at 128 px, 7 classes, two images, with their ground truth and losses."""
    with np.load(GOLDENS / "detection_losses_d0.npz") as file:
        golden = {name: file[name] for name in file.files}
    boxes = np.full((2, 5, 4), -1, np.float32)
    classes = np.full((2, 5), -1, np.int32)
    for i in range(2):
        count = len(golden[f"gt_boxes_{i}"])
        boxes[i, :count] = golden[f"gt_boxes_{i}"]
        classes[i, :count] = golden[f"gt_classes_{i}"][:, 0]
    anchors = generate_anchors(128)
    labels = assign_targets(anchors, boxes, classes)
    levels = range(3, 8)
    class_outputs = [tf.constant(golden[f"train_class_{level}"]) for level in levels]
    box_outputs = [tf.constant(golden[f"train_box_{level}"]) for level in levels]
    arguments = {
        "num_classes": 7,
        "anchors": anchors,
        "normalizer": tf.reduce_sum(labels.num_positives) + 1.0,
    }
    return golden, class_outputs, box_outputs, labels, arguments


def test_detection_losses_are_the_originals(training_case):
    golden, class_outputs, box_outputs, labels, arguments = training_case
    found = losses.detection_losses(
        class_outputs, box_outputs, labels, iou_loss_type="ciou", **arguments
    )
    assert set(found) == {"cls_loss", "box_loss", "box_iou_loss", "det_loss"}
    for name, value in found.items():
        assert value.dtype == tf.float32
        assert float(value) == pytest.approx(float(golden[f"losses/{name}"]), rel=1e-5), name


def test_class_loss_agrees_with_the_one_hot_form(training_case):
    """Written out as in section 3 of arXiv:1708.02002, with smoothed targets."""
    _, class_outputs, box_outputs, labels, arguments = training_case

    def one_hot_form(outputs):
        logits = tf.concat([tf.reshape(level, [2, -1, 7]) for level in outputs], axis=1)
        hard = tf.one_hot(labels.class_targets, 7)
        prob = tf.sigmoid(logits)
        modulator = (hard * (1.0 - prob) + (1.0 - hard) * prob) ** 1.5
        entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=hard * 0.9 + 0.05, logits=logits)
        weight = hard * 0.25 + (1.0 - hard) * 0.75
        return tf.reduce_sum(weight * modulator * entropy) / arguments["normalizer"]

    def without_one_hot(outputs):
        found = losses.detection_losses(
            outputs, box_outputs, labels, label_smoothing=0.1, **arguments
        )
        return found["cls_loss"]

    results = []
    for function in (one_hot_form, without_one_hot):
        with tf.GradientTape() as tape:
            tape.watch(class_outputs)
            value = function(class_outputs)
        results.append((value, tape.gradient(value, class_outputs)))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)
    for a, b in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_overflowing_outputs_of_unmatched_anchors_leave_the_gradient_finite(training_case):
    _, class_outputs, _, labels, arguments = training_case
    unmatched = tf.cast(labels.class_targets[..., None] < 0, tf.float32)
    box_deltas = unmatched * 1000.0 * tf.ones([1, 1, 4])
    sizes = [level.shape[1] * level.shape[2] * 9 for level in class_outputs]
    outputs = [
        tf.reshape(part, [2, side, side, 36])
        for part, side in zip(tf.split(box_deltas, sizes, axis=1), (16, 8, 4, 2, 1), strict=True)
    ]
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        found = losses.detection_losses(
            class_outputs, outputs, labels, iou_loss_type="ciou", **arguments
        )
    for gradient in tape.gradient(found["det_loss"], outputs):
        assert np.isfinite(gradient).all()


def test_wrong_number_of_classes_is_said(training_case):
    _, class_outputs, box_outputs, labels, arguments = training_case
    with pytest.raises(UserError, match="63 channels.*num_classes=8"):
        losses.detection_losses(
            class_outputs, box_outputs, labels, **{**arguments, "num_classes": 8}
        )
