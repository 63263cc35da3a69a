"""Distillation: what the losses against a teacher are, and that a teacher stays out of training."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.classification.training_task import ClassificationTrainingTask
from efficientvision.tasks.detection.efficientdet_training import EfficientDetTrainingTask
from efficientvision.tasks.detection.losses import quality_focal
from efficientvision.tasks.detection.ssd_training import SsdTrainingTask
from efficientvision.tasks.segmentation.training_task import SegmentationTrainingTask
from efficientvision.tasks.teacher import (
    Teacher,
    log_changed_teacher,
    soft_class_loss,
    weights_hash,
)
from tests.training import replicas
from tests.training.small_training import OPTIONS, begun

FAST = {name: value for name, value in OPTIONS.items() if name != "positives_momentum"}


def teacher_of(task, build, seed=1, classes=(0, 1, 2), **changes):
    """A teacher like the student's network, with weights of its own."""
    config = get_config(task.config.name, task.config.as_dict(), changes, task=task.config.task)
    keras.utils.set_random_seed(seed)
    model = build(config)
    return Teacher(model, config, range(len(classes)), classes, "runs/teacher", f"{seed:064}")


def losses_of(task, model, data):
    batch = {name: tf.constant(value[:4]) for name, value in data.items()}
    batch = task.prepare(batch)
    normalizer = task.normalizer(batch, lambda x: x)
    losses = task.losses(model, batch, training=False, normalizer=normalizer)
    return {name: float(value) for name, value in losses.items()}


def student_of_detectors(**changes):
    task = EfficientDetTrainingTask(get_config("efficientdet-d0", {**FAST, **changes}))
    keras.utils.set_random_seed(0)
    return task, replicas.small_detector(task.config)


def test_quality_focal_loss_and_its_gradient():
    """Against the formula; where the probability is the target, both are exactly 0."""
    logits = tf.constant([-30.0, -2.0, 0.0, 0.4, 3.0, 30.0])
    targets = tf.constant([0.3, 0.0, 0.9, 1.0, 0.2, 0.0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        p = tf.sigmoid(logits)
        entropy = tf.nn.sigmoid_cross_entropy_with_logits(targets, logits)
        expected = (targets - p) ** 2 * entropy
        terms = quality_focal(logits, targets)
        equal = quality_focal(logits, tf.stop_gradient(tf.sigmoid(logits)))
    np.testing.assert_allclose(terms, expected, rtol=1e-6)
    slopes = tape.gradient(terms, logits)
    np.testing.assert_allclose(slopes, tape.gradient(expected, logits), rtol=1e-4, atol=1e-9)
    assert not np.any(equal) and not np.any(tape.gradient(equal, logits))


@pytest.mark.parametrize("exclusive", [True, False])
def test_soft_targets(exclusive):
    """KL divergence of the softened probabilities; 0 for equal logits."""
    ours, theirs = np.random.default_rng(0).normal(0, 2, (2, 5, 3)).astype("float32")
    p, q = (x / 4 for x in (theirs, ours))
    if exclusive:
        p, q = tf.nn.softmax(p).numpy(), tf.nn.softmax(q).numpy()
        expected = (p * np.log(p / q)).sum(-1)
    else:
        p, q = tf.sigmoid(p).numpy(), tf.sigmoid(q).numpy()
        expected = (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).sum(-1)
    options = {"temperature": 4.0, "exclusive": exclusive}
    np.testing.assert_allclose(
        soft_class_loss(ours, theirs, **options), 16 * expected, rtol=1e-3, atol=1e-5
    )
    np.testing.assert_allclose(soft_class_loss(ours, ours, **options), 0, atol=1e-5)


def test_a_detector_that_is_its_own_teacher_learns_nothing_from_it():
    task, model = student_of_detectors()
    alone = losses_of(task, model, replicas.pictures())
    teacher = dataclasses.replace(teacher_of(task, replicas.small_detector), model=model)
    task.learn_from(teacher)
    both = losses_of(task, model, replicas.pictures())
    assert set(both) == set(task.loss_names)
    assert both["distill_class_loss"] == 0 and abs(both["distill_box_loss"]) < 1e-6
    assert {name: both[name] for name in alone} == pytest.approx(alone)


@pytest.mark.parametrize(
    "part, other", [("class", "distill_box_weight"), ("box", "distill_class_weight")]
)
def test_parts_of_detection(part, other):
    """Each is weighted, and left out with its weight 0; boxes are compared after decoding."""
    task, model = student_of_detectors(**{other: 0, f"distill_{part}_weight": 3})
    teacher = teacher_of(task, replicas.small_detector, anchor_scale=2.5, mean_rgb=100.0)
    teacher.model.get_layer("class").bias.assign_add(np.full(27, 1.0))
    task.learn_from(teacher)
    losses = losses_of(task, model, replicas.pictures())
    (name,) = (name for name in losses if name.startswith("distill_") and name != "distill_loss")
    assert name == f"distill_{part}_loss" and losses[name] > 0
    assert losses["distill_loss"] == pytest.approx(3 * losses[name])
    assert losses["loss"] == pytest.approx(losses["det_loss"] + losses["distill_loss"])


def test_without_weights_there_is_no_teacher(caplog):
    task, _ = student_of_detectors(distill_class_weight=0, distill_box_weight=0)
    names = task.loss_names
    with caplog.at_level("WARNING"):
        task.learn_from(teacher_of(task, replicas.small_detector))
    assert task.teacher is None and task.loss_names == names and task.snapshot() == {}
    assert "distill_class_weight and distill_box_weight are 0" in caplog.text


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_teacher_and_student_in_half_precision(precision):
    """Losses are float32 and about those of whole precision; the teacher is the same to a run."""
    task, student = student_of_detectors()
    task.learn_from(teacher_of(task, replicas.small_detector))
    expected = losses_of(task, student, replicas.pictures())
    keras.config.set_dtype_policy(precision)
    try:
        halves = [replicas.small_detector(task.config) for _ in range(2)]
    finally:
        keras.config.set_dtype_policy("float32")
    for half, whole in zip(halves, (student, task.teacher.model), strict=True):
        assert half.get_layer("class").compute_dtype == precision.removeprefix("mixed_")
        half.set_weights(whole.get_weights())
    assert weights_hash(halves[1]) == weights_hash(task.teacher.model)
    task.teacher = dataclasses.replace(task.teacher, model=halves[1])
    assert losses_of(task, halves[0], replicas.pictures()) == pytest.approx(expected, rel=0.03)
    task.teacher = dataclasses.replace(task.teacher, model=halves[0])
    same = losses_of(task, halves[0], replicas.pictures())
    assert same["distill_class_loss"] == 0 and abs(same["distill_box_loss"]) < 1e-5


def test_classes_that_the_teacher_has_elsewhere():
    """The columns of the same class are compared: exchanging two of them changes nothing."""
    task, model = student_of_detectors()
    task.learn_from(dataclasses.replace(teacher_of(task, replicas.small_detector), model=model))
    kernel, bias = model.get_layer("class").get_weights()
    moved = replicas.small_detector(task.config)
    moved.set_weights(model.get_weights())
    order = [i - i % 3 + (0, 2, 1)[i % 3] for i in range(27)]  # Channel a * 3 + class.
    moved.get_layer("class").set_weights([kernel[..., order], bias[order]])
    task.teacher = dataclasses.replace(task.teacher, model=moved, classes=(0, 2, 1))
    assert abs(losses_of(task, model, replicas.pictures())["distill_loss"]) < 1e-6
    task.teacher = dataclasses.replace(task.teacher, own_classes=(1,), classes=(2,))
    assert abs(losses_of(task, model, replicas.pictures())["distill_loss"]) < 1e-6


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(replicas.classifier, id="classifier"),
        pytest.param(replicas.labels, id="labels", marks=pytest.mark.slow),
        pytest.param(replicas.masks, id="masks", marks=pytest.mark.slow),
    ],
)
def test_other_tasks(case):
    task, build, data, _ = case(dict(replicas.OPTIONS))
    keras.utils.set_random_seed(0)
    model = build(task.config)
    alone = losses_of(task, model, data)
    teacher = teacher_of(task, build)
    task.learn_from(teacher)
    losses = losses_of(task, model, data)
    assert tuple(sorted(losses)) == tuple(sorted(task.loss_names))
    assert losses["distill_loss"] > 0
    assert losses["loss"] == pytest.approx(alone["loss"] + losses["distill_loss"])
    task.teacher = dataclasses.replace(teacher, model=model)
    assert losses_of(task, model, data)["distill_loss"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"max_level": 4}, "feature levels 3..4, but this run has 3..3: set min_level=3,max_level"),
        ({"num_scales": 2}, "6 anchors per cell, but this run has 9: set num_scales=2"),
        ({"anchor_scale": 6}, "IoU of only 0.11, .* set .*anchor_scale=6"),
    ],
    ids=["levels", "number", "scale"],
)
def test_anchors_that_cannot_be_compared(changes, says):
    task, model = student_of_detectors()
    config = get_config("efficientdet-d0", {**FAST, **changes})
    with pytest.raises(UserError, match=says):
        task.learn_from(Teacher(model, config, (0,), (0,), "runs/teacher", ""))


def test_teachers_of_another_kind():
    task, model = student_of_detectors()
    ssd = get_config("espnetv2_s_0.5", {"num_classes": 4, "image_size": 64}, task="detection")
    with pytest.raises(UserError, match="is an SSD"):
        task.learn_from(Teacher(model, ssd, (0,), (0,), "runs/teacher", ""))
    teacher = teacher_of(task, replicas.small_detector)
    with pytest.raises(UserError, match="does not apply"):
        SsdTrainingTask(ssd).learn_from(teacher)
    config = get_config("espnetv2_s_0.5", {"num_classes": 3})
    labels = get_config("espnetv2_s_0.5", {"num_classes": 3, "multi_label": True})
    task = ClassificationTrainingTask(config)
    with pytest.raises(UserError, match="several classes per image, but this run has one"):
        task.learn_from(Teacher(model, labels, (0, 1), (0, 1), "runs/teacher", ""))
    masks = get_config("espnetv2_s_0.5", {"num_classes": 3}, task="segmentation")
    for student, own in ((task, config), (SegmentationTrainingTask(masks), masks)):
        with pytest.raises(UserError, match="shares only one class"):
            student.learn_from(Teacher(model, own, (0,), (0,), "runs/teacher", ""))


def test_a_changed_teacher_is_told(caplog):
    task, model = student_of_detectors()
    teacher = Teacher(model, task.config, (0,), (0,), "runs/a", "1" * 64)
    cases = [
        (None, None, ""),
        (teacher.noted(), teacher, ""),
        ({"path": "elsewhere/a", "sha256": "1" * 64}, teacher, ""),  # It was moved.
        (None, teacher, "From now on this run also learns from runs/a"),
        (teacher.noted(), None, "without `distill_from` it continues without"),
        ({"path": "runs/a", "sha256": "2" * 64}, teacher, "learned from other weights of it"),
        ({"path": "runs/b", "sha256": "2" * 64}, teacher, "learned from runs/b (222222222222)"),
    ]
    for noted, now, says in cases:
        caplog.clear()
        with caplog.at_level("INFO"):
            log_changed_teacher(noted, now)
        assert says in caplog.text and bool(says) == bool(caplog.text)


@pytest.mark.slow
def test_a_training_changes_and_saves_the_student_only():
    """Also in micro-batches, and resumed: the same weights as in one go."""
    training = begun({"distill_box_weight": 2.0}, micro_batches=2)
    teacher = teacher_of(training.task, replicas.small_detector)
    before = teacher.model.get_weights()
    paths = set(training.values())
    training.task.learn_from(teacher)
    try:
        training.step = type(training.step)(
            training.task, training.state, weight_decay=1e-2, clip_norm=0.5, micro_batches=2
        )
        assert training.train([0])["distill_loss"] > 0
        kept = training.state.snapshot(task=training.task.snapshot())
        training.train([1])
        whole = training.values()
        training.state.restore(kept)
        training.task.restore(kept.meta["task"])
        training.train([1])
        again = training.values()
    finally:
        training.task.teacher = None
    assert kept.meta["task"]["teacher"] == teacher.noted()
    assert set(whole) == paths
    assert {k: v.tobytes() for k, v in whole.items()} == {k: v.tobytes() for k, v in again.items()}
    for value, own in zip(teacher.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, own)
