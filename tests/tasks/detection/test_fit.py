"""Networks in the hands of Keras: `fit`, features of a backbone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import efficientvision as ev
from efficientvision.errors import UserError
from efficientvision.tasks.detection.efficientdet_training import EfficientDetTrainingTask
from tests.made_class_records import picture as class_picture

SMALL = {
    "image_size": 64,
    "fpn_num_filters": 8,
    "fpn_cell_repeats": 1,
    "box_class_repeats": 1,
    "num_classes": 2,
}


def photos(count=4, side=64):
    """Bright squares on noise, with their boxes and classes."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 80, (count, side, side, 3), dtype=np.uint8)
    boxes = np.full((count, 2, 4), -1, np.float32)
    classes = np.full((count, 2), -1, np.int32)
    for i in range(count):
        y, x = rng.integers(0, side // 2, 2)
        images[i, y : y + 24, x : x + 24] = 250
        boxes[i, 0], classes[i, 0] = (y, x, y + 24, x + 24), 1 + i % 2
    return images, boxes, classes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "task", "options"),
    [
        ("efficientdet-d0", None, SMALL),
        ("shufflenetv2_s_0.1", "detection", {"image_size": 64, "num_classes": 3}),
    ],
)
def test_a_detector(name, task, options):
    images, boxes, classes = photos()
    model = ev.FitDetector(name, task, **options)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), run_eagerly=True)
    data = tf.data.Dataset.from_tensor_slices((images, (boxes, classes))).batch(4).repeat(3)
    losses = model.fit(data, epochs=2, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert {"weights"} <= set(dir(model.network))


def test_the_loss_is_that_of_a_training():
    images, boxes, classes = photos()
    model = ev.FitDetector("efficientdet-d0", **SMALL)
    model.compile(optimizer="sgd", run_eagerly=True)
    data = tf.data.Dataset.from_tensor_slices((images, (boxes, classes))).batch(4)
    found = model.evaluate(data, verbose=0)
    task = EfficientDetTrainingTask(model.config)
    batch = task.prepare(
        {
            "images": tf.constant(images),
            "valid_hw": tf.fill([4, 2], 64),
            "gt_boxes_yxyx": tf.constant(boxes),
            "gt_classes": tf.constant(classes),
        }
    )
    expected = task.losses(
        model.network, batch, training=False, normalizer=task.normalizer(batch, lambda x: x)
    )
    assert found == pytest.approx(float(expected["loss"]), rel=1e-5)


@pytest.mark.slow
def test_a_classifier():
    model = ev.build_model("shufflenetv2_s_0.1", num_classes=3, image_size=32)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"], run_eagerly=True)
    images = (
        np.stack([class_picture(i, 1 + i % 3)[:32, :32] for i in range(6)]) / np.float32(127.5) - 1
    )
    history = model.fit(images, np.arange(6) % 3, epochs=2, batch_size=3, verbose=0).history
    assert np.isfinite(history["loss"]).all() and "accuracy" in history


@pytest.mark.slow
def test_a_segmenter():
    model = ev.build_model("shufflenetv2_s_0.1", "segmentation", num_classes=2, image_size=32)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    model.compile(optimizer="adam", loss=loss, run_eagerly=True)
    images, masks = np.zeros((2, 32, 32, 3), np.float32), np.zeros((2, 32, 32), np.int32)
    images[:, :16], masks[:, :16], masks[:, :2] = 1, 1, 255
    history = model.fit(images, masks, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize("name", ["efficientnet-b0", "shufflenetv2_s_0.1", "espnetv2_s_0.5"])
def test_features_of_a_backbone(name):
    model = ev.build_model(name, include_top=False, image_size=64)
    features = model(np.zeros((1, 64, 64, 3), np.float32))
    assert {level: x.shape[1:3] for level, x in features.items()} == {
        level: (64 >> level, 64 >> level) for level in range(1, 6)
    }
    with pytest.raises(UserError, match="num_classes has no effect"):
        ev.build_model(name, include_top=False, num_classes=3)
    with pytest.raises(UserError, match="applies to backbones only"):
        ev.build_model("efficientdet-d0", include_top=False)
