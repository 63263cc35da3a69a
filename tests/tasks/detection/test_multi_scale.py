"""Multi-scale training: sizes, draws, losses at another size, the trainer's steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.api import build_model
from efficientvision.data.transforms.preprocess import resize_bilinear
from efficientvision.errors import UserError
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.detection.efficientdet_training import EfficientDetTrainingTask
from efficientvision.tasks.detection.multi_scale import check_sizes, drawn_size, training_sizes
from efficientvision.tasks.memory_use import training_bytes
from efficientvision.tasks.teacher import Teacher
from efficientvision.training.plan import TrainingPlan
from efficientvision.training.recipe import TrainingRecipe
from efficientvision.training.trainer import Trainer
from tests.training.replicas import BATCH, pictures, reader, small_detector
from tests.training.small_training import OPTIONS

# Sizes of 32, 64 and 96 pixels, of which this seed draws 96, 32 and 96 again.
SCALED = {"multi_scale": 0.5, "seed": 5}


@pytest.mark.parametrize(
    ("image_hw", "multi_scale", "sizes"),
    [
        ((512, 512), 0.25, [(384, 384), (448, 448), (512, 512), (576, 576), (640, 640)]),
        ((320, 320), 0.1, [(288, 288), (320, 320), (352, 352)]),
        ((240, 320), 0.25, [(192, 256), (224, 288), (240, 320), (256, 352), (288, 384)]),
        ((320, 240), 0.1, [(288, 224), (320, 240), (352, 256)]),
        ((64, 64), 0.5, [(32, 32), (64, 64), (96, 96)]),
        ((240, 320), 0.0, [(240, 320)]),
    ],
)
def test_sizes(image_hw, multi_scale, sizes):
    assert training_sizes(image_hw, multi_scale) == sizes
    check_sizes(image_hw, multi_scale)


def test_a_range_without_another_size_is_refused():
    message = "multi_scale=0.02 leaves only the size 512x384.*: set it to 0.07 or more, or to 0"
    with pytest.raises(UserError, match=message):
        check_sizes((384, 512), 0.02)
    check_sizes((384, 512), 0.07)
    with pytest.raises(UserError, match="set it to 0[.]$"):
        check_sizes((32, 32), 0.5)


def test_a_draw_is_a_function_of_seed_and_step():
    sizes = training_sizes((512, 512), 0.25)
    drawn = [drawn_size(sizes, 3, step) for step in range(1000)]
    assert drawn == [drawn_size(sizes, 3, step) for step in range(1000)]
    assert all(len(set(drawn[first : first + 10])) == 1 for first in range(0, 1000, 10))
    assert drawn != [drawn_size(sizes, 4, step) for step in range(1000)]
    assert all(drawn.count(size) >= 100 for size in sizes)


def test_the_estimate_of_memory_is_for_the_largest_size():
    plain, scaled = (
        get_config("efficientdet-d0", {"image_size": 512, "multi_scale": share})
        for share in (0, 0.25)
    )
    assert training_bytes(scaled) == pytest.approx(1.25**2 * training_bytes(plain))


@pytest.mark.parametrize("assignment", ["iou", "task_aligned"])
def test_losses_are_those_of_a_task_of_that_size(assignment):
    """Boxes and anchors too, and the teacher's: its loss is the same in both tasks."""
    options = {**OPTIONS, "assignment": assignment, "iou_loss_type": "ciou"}
    usual, task, other = (
        EfficientDetTrainingTask(get_config("efficientdet-d0", options | more))
        for more in ({}, SCALED, {"image_size": 96})
    )
    model = small_detector(usual.config)
    taught = small_detector(usual.config)
    for each in (usual, task, other):
        each.learn_from(Teacher(taught, each.config, range(3), range(3), "teacher", ""))
    batch = {name: tf.constant(value[:BATCH]) for name, value in pictures().items()}
    boxes = tf.where(batch["gt_classes"][..., None] > 0, 1.5 * batch["gt_boxes_yxyx"], -1.0)
    images = resize_bilinear(tf.cast(batch["images"], tf.float32), (96, 96))
    valid_hw = tf.fill([BATCH, 2], 96)
    larger = batch | {"images": images, "gt_boxes_yxyx": boxes, "valid_hw": valid_hw}
    other._run = lambda model, images, training: model.call(images, training=training)
    variants = {own._hw: own for own, _ in map(task.variant, range(0, 200, 10))}
    assert sorted(variants) == task.config.training_sizes
    assert variants[64, 64] is task
    assert _losses(task, model, batch) == _losses(usual, model, batch)
    found = _losses(variants[96, 96], model, batch)
    assert found == pytest.approx(_losses(other, model, larger), rel=1e-5)
    assert found["loss"] != pytest.approx(_losses(usual, model, batch)["loss"], rel=1e-2)
    smaller = _losses(variants[32, 32], model, batch)
    assert all(np.isfinite(value) for value in smaller.values())


def _losses(task, model, batch):
    prepared = task.prepare(batch)
    normalizer = task.normalizer(prepared, tf.identity)
    losses = task.losses(model, prepared, training=False, normalizer=normalizer)
    return {name: float(value) for name, value in losses.items()}


def _trained(folder, until, options, micro_batches=1):
    """Trains on to step `until`; the trainer, and the steps of its variants by size."""
    task = EfficientDetTrainingTask(get_config("efficientdet-d0", OPTIONS | options))
    task.training_dataset = reader(pictures())
    plan = TrainingPlan(
        BATCH, examples_per_epoch=BATCH * until, num_epochs=1, model_dir=folder, steps_per_call=100
    )
    recipe = TrainingRecipe(micro_batches=micro_batches, moving_average_decay=0.9)
    trainer = Trainer(task, lambda: _first_network(task.config), plan, 0.01, recipe)
    trainer.resume()
    trainer.run()
    steps = {size: trainer.train_step.for_task(own) for size, own in task._variants.items()}
    return trainer, steps


def _first_network(config):
    keras.utils.set_random_seed(0)
    return small_detector(config)


def _weights(trainer):
    snapshot = trainer.state.snapshot()
    return {f"{kind}/{path}": value for kind in ("weights", "ema", "optimizer")
            for path, value in getattr(snapshot, kind).items()}  # fmt: skip


def test_sizes_follow_the_step_in_a_resumed_run_too(tmp_path, capsys):
    """Each size is traced once, and a run that resumes within a draw ends with the same bits."""
    whole, steps = _trained(tmp_path / "whole", 24, SCALED)
    assert capsys.readouterr().err.count("compiling another step") == 1
    traces = {size: step.traces for size, step in steps.items()}
    assert traces == {(32, 32): 1, (64, 64): 0, (96, 96): 1}
    assert len(whole.model.weights) == len(small_detector(whole.task.config).weights)
    _trained(tmp_path / "parts", 14, SCALED)
    resumed, _ = _trained(tmp_path / "parts", 24, SCALED)
    expected, found = _weights(whole), _weights(resumed)
    assert [name for name in expected if not np.array_equal(expected[name], found[name])] == []
    usual, steps = _trained(tmp_path / "usual", 24, {})
    assert list(steps) == [(64, 64)] and steps[64, 64].traces == 1
    assert usual.train_step._of_tasks == {usual.task: usual.train_step}
    moved = [np.abs(value - found[name]).max() for name, value in _weights(usual).items()]
    assert max(moved) > 1e-3


@pytest.mark.slow
def test_micro_batches_of_a_step_share_a_size(tmp_path):
    options = SCALED | {"is_training_bn": False}
    whole, _ = _trained(tmp_path / "whole", 12, options)
    cut, _ = _trained(tmp_path / "cut", 12, options, micro_batches=2)
    found = _weights(cut)
    for name, value in _weights(whole).items():
        np.testing.assert_allclose(found[name], value, atol=1e-6, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"fpn_name": "bifpn", "padding": "symmetric"},
        {"fpn_name": "qufpn", "fpn_resizing": "bilinear", "conv_after_downsample": True},
        {"fpn_name": "vfpn", "grad_checkpoint": True, "backbone_name": "dicenet_s_1.0"},
    ],
)
def test_a_network_at_another_size_is_the_one_built_for_it(options):
    """Odd feature maps: 240 and 288 pixels are 8 and 9 cells of level 5."""
    names = {"num_classes": 3, **options}
    model = build_model("efficientdet-d0", image_size="320x240", **names)
    other = build_model("efficientdet-d0", image_size="384x288", **names)
    other.set_weights(model.get_weights())
    images = tf.random.stateless_normal([1, 288, 384, 3], [0, 1])
    for training in (False, True):
        found = tf.nest.flatten(model.call(images, training=training))
        expected = tf.nest.flatten(other(images, training=training))
        for one, two in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, two)
