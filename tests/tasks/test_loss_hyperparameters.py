"""The loss's hyper-parameters, given as `--hparams` gives them, reach the loss."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.tasks.choice import get_config
from efficientvision.tasks.detection.efficientdet_training import EfficientDetTrainingTask
from efficientvision.tasks.detection.matching import assign_targets
from tests.made_records import SIZE, write_made_records

BASE = f"num_classes=2,image_size={SIZE},min_level=3,max_level=3,jitter_min=1.0,jitter_max=1.0"
LOGIT = -2.0


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """Four training images with a box each."""
    path = tmp_path_factory.mktemp("made") / "made-00000-of-00001.tfrecord"
    write_made_records(path, 4)
    task = EfficientDetTrainingTask(get_config("efficientdet-d0", BASE), training_files=str(path))
    return next(iter(task.training_dataset(4, start_step=0)))


class ConstantHeads(keras.Model):
    """Says the same of every anchor: `LOGIT` of every class, box code 0."""

    def call(self, images, training=None):
        cells = tf.zeros([tf.shape(images)[0], SIZE // 8, SIZE // 8, 1])
        return [tf.fill([*cells.shape[:3], 18], LOGIT)], [tf.repeat(cells, 36, axis=-1)]


def losses(batch, override=""):
    """The losses, the anchors' targets and the normaliser."""
    task = EfficientDetTrainingTask(
        get_config("efficientdet-d0", ",".join(filter(None, [BASE, override])))
    )
    prepared = task.prepare(batch)
    found = task.losses(
        ConstantHeads(), prepared, training=True, normalizer=task.normalizer(prepared, tf.identity)
    )
    targets = assign_targets(task.anchors, batch["gt_boxes_yxyx"], batch["gt_classes"])
    normalizer = float(tf.reduce_sum(targets.num_positives)) + 1.0
    return {name: float(value) for name, value in found.items()}, targets, normalizer


@pytest.mark.parametrize(
    ("override", "alpha", "gamma", "smoothing"),
    [
        ("", 0.25, 1.5, 0.0),
        ("alpha=0.6", 0.6, 1.5, 0.0),
        ("gamma=0.5", 0.25, 0.5, 0.0),
        ("label_smoothing=0.2", 0.25, 1.5, 0.2),
    ],
)
def test_focal_parameters_and_label_smoothing(batch, override, alpha, gamma, smoothing):
    found, targets, normalizer = losses(batch, override)
    p = 1.0 / (1.0 + math.exp(-LOGIT))
    right, wrong = 1.0 - smoothing / 2.0, smoothing / 2.0
    positive = alpha * (1.0 - p) ** gamma * -(right * math.log(p) + wrong * math.log(1.0 - p))
    negative = (1.0 - alpha) * p**gamma * -(wrong * math.log(p) + right * math.log(1.0 - p))
    positives = normalizer - 1.0
    logits = 2 * np.size(targets.class_targets)
    expected = (positives * positive + (logits - positives) * negative) / normalizer
    assert found["cls_loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("override", "delta"), [("", 0.1), ("delta=0.4", 0.4)])
def test_delta(batch, override, delta):
    found, targets, normalizer = losses(batch, override)
    size = np.abs(targets.box_targets.numpy().astype(np.float64))
    expected = np.where(size <= delta, size**2 / 2.0, delta * (size - delta / 2.0)).sum()
    assert found["box_loss"] == pytest.approx(expected / (4.0 * normalizer), rel=1e-5)


@pytest.mark.parametrize("kind", ["iou", "giou", "diou", "ciou"])
def test_weights_of_the_box_losses(batch, kind):
    override = f"box_loss_weight=7,iou_loss_type={kind},iou_loss_weight=3"
    found, _, _ = losses(batch, override)
    assert found["box_iou_loss"] > 0.0
    expected = found["cls_loss"] + 7.0 * found["box_loss"] + 3.0 * found["box_iou_loss"]
    assert found["loss"] == found["det_loss"] == pytest.approx(expected, rel=1e-5)


def test_without_an_iou_loss_there_is_none(batch):
    found, _, _ = losses(batch)
    assert "box_iou_loss" not in found
    assert found["det_loss"] == pytest.approx(found["cls_loss"] + 50.0 * found["box_loss"])
