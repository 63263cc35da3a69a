"""float16's loss scale: found by halving, taken off again, and no part of the results."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.api import build_from_config
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.detection.efficientdet_training import EfficientDetTrainingTask
from efficientvision.training.loss_scale import LossScale
from tests.training.small_training import SmallTraining, begun


def _set(scale, value, good_steps=0.0):
    scale.load({"loss_scale": np.float32(value), "loss_scale_good_steps": np.float32(good_steps)})


def test_grows_after_2000_good_steps_and_halves_down_to_one():
    scale = LossScale(dynamic=True)
    assert scale.value == 2.0**15
    _set(scale, 8.0, good_steps=1998.0)
    scale.after_good_step()
    assert scale.value == 8.0
    scale.after_good_step()
    assert scale.value == 16.0
    for expected in (8.0, 4.0, 2.0, 1.0, 1.0):
        scale.after_overflow(tf.constant(True))
        assert scale.value == expected
    assert not scale.explains_overflow()
    _set(scale, 4.0, good_steps=3.0)
    scale.after_overflow(tf.constant(False))
    assert scale.numpy()["loss_scale"] == 4.0


def test_without_scaling_nothing_is_kept():
    scale = LossScale(dynamic=False)
    assert scale.numpy() == {}
    assert float(scale.scaled(tf.constant(3.0))) == 3.0
    assert not scale.explains_overflow()


def test_scale_is_no_part_of_the_results():
    plain, scaled = begun(kind="loss"), begun(scale_loss=True)
    losses, scaled_losses = plain.train([0, 1, 2]), scaled.train([0, 1, 2])
    for name, value in losses.items():
        assert scaled_losses[name] == pytest.approx(value, rel=1e-6), name
    values = scaled.values()
    # The scale is a power of two: taking it off is exact.
    for name, value in plain.values().items():
        np.testing.assert_array_equal(values[name], value, err_msg=name)


def test_overflow_is_left_out_and_counted_but_does_not_stop():
    """Gradients of 2^127 times the loss are infinite in float32 too; half of that is not."""
    training = begun(scale_loss=True)
    before = training.values()
    scale = training.state.loss_scale
    _set(scale, 2.0**127)
    training.train([0])
    after = training.values()
    assert scale.value == 2.0**126
    assert training.state.step == 1
    assert training.state.counts()["overflow_steps"] == 1
    for name in before:
        if name.startswith(("weights", "ema")) or "momentum" in name or "velocity" in name:
            np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    _set(scale, 4.0)
    training.train([1])
    assert int(training.state.optimizer.updates) == 1
    assert training.state.counts()["overflow_steps"] == 1

    twin = SmallTraining(scale_loss=True)
    twin.state.restore(training.state.snapshot())
    assert twin.state.loss_scale.value == 4.0
    assert twin.state.counts() == training.state.counts()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_losses_variables_and_statistics_are_float32(precision):
    config = get_config(
        "efficientdet-lite0", {"image_size": 64, "num_classes": 2, "precision": precision}
    )
    task, model = EfficientDetTrainingTask(config), build_from_config(config)
    batch = {
        "images": tf.cast(tf.random.stateless_uniform([2, 64, 64, 3], (0, 0)) * 255, tf.uint8),
        "valid_hw": tf.fill([2, 2], 64),
        "gt_boxes_yxyx": tf.constant([[[4.0, 4.0, 40.0, 40.0]]] * 2),
        "gt_classes": tf.constant([[1], [2]]),
    }
    prepared = task.prepare(batch)
    with keras.StatelessScope() as scope:
        losses = task.losses(model, prepared, training=True, normalizer=tf.constant(8.0))
    assert {loss.dtype for loss in losses.values()} == {tf.float32}
    assert all(np.isfinite(float(loss)) for loss in losses.values())
    moving = [v for v in model.weights if "moving" in v.path]
    assert {scope.get_current_value(v).dtype for v in moving} == {tf.float32}
    assert {v.dtype for v in model.weights} == {"float32"}
    (backbone,) = [layer for layer in model.layers if layer.name.startswith("efficientnet")]
    assert backbone.compute_dtype == precision.removeprefix("mixed_")
