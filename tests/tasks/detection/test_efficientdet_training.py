"""The detection task: what it asks of the data, normaliser, predictions, test-dev file."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.detection.efficientdet_training import EfficientDetTrainingTask
from efficientvision.tasks.detection.mistakes import TRUTH_COLOR
from efficientvision.tasks.detection.training_task import TESTDEV_NAME
from efficientvision.training.evaluator import Evaluator
from tests.made_records import SIDE, SIZE, write_made_records

OPTIONS = {"num_classes": 2, "image_size": SIZE, "min_level": 3, "max_level": 3}


def _config(**changes):
    return get_config("efficientdet-d0", {**OPTIONS, **changes})


def _constant_detector(config, class_bias=0.0):
    """Ignores its input: every logit is `class_bias`, every box code 0."""
    anchors = config.anchors_per_location
    images = keras.Input((SIZE, SIZE, 3))
    pooled = keras.layers.AveragePooling2D(8)(images)
    heads = [
        keras.layers.Conv2D(
            channels,
            1,
            kernel_initializer="zeros",
            bias_initializer=keras.initializers.Constant(bias),
        )(pooled)
        for channels, bias in ((anchors * config.num_classes, class_bias), (anchors * 4, 0.0))
    ]
    return keras.Model(images, ([heads[0]], [heads[1]]))


def _losses(task, model, batch, reduce_sum):
    prepared = task.prepare(batch)
    normalizer = task.normalizer(prepared, reduce_sum)
    return task.losses(model, prepared, training=True, normalizer=normalizer)


@pytest.fixture
def records(tmp_path):
    return str(write_made_records(tmp_path / "made-00000-of-00001.tfrecord", 7))


def test_normalizer_counts_the_positives_of_all_replicas(records):
    config = _config()
    task = EfficientDetTrainingTask(config, training_files=records)
    model = _constant_detector(config)
    batch = next(iter(task.training_dataset(4, start_step=0)))
    alone = _losses(task, model, batch, tf.identity)
    seen = []

    def as_one_of_three(positives):
        seen.append(float(positives))
        return 3.0 * positives

    shared = _losses(task, model, batch, as_one_of_three)
    (positives,) = seen
    assert positives >= 1
    ratio = (positives + 1.0) / (3.0 * positives + 1.0)
    for name in task.loss_names:
        assert float(shared[name]) == pytest.approx(float(alone[name]) * ratio, rel=1e-5)


def test_moving_normalizer_starts_at_the_first_batch_and_is_saved(records):
    config = _config(positives_momentum=0.75)
    task = EfficientDetTrainingTask(config, training_files=records)
    task.create_variables()
    batch = next(iter(task.training_dataset(4, start_step=0)))
    for _ in range(2):
        task.step_done(task.normalizer(task.prepare(batch), tf.identity))
    first = task.snapshot()["positives"]
    task.step_done(task.normalizer(task.prepare(batch), lambda x: 0.0 * x))
    assert first > 1.0
    assert task.snapshot()["positives"] == pytest.approx(0.75 * first + 0.25)
    other = EfficientDetTrainingTask(config)
    other.restore(task.snapshot())
    assert other.snapshot() == task.snapshot()


def test_training_data_go_on_where_they_stopped(records):
    task = EfficientDetTrainingTask(_config(seed=5), training_files=records)
    whole = task.training_dataset(2, start_step=0).take(6)
    rest = task.training_dataset(2, start_step=4).take(2)
    for first, second in zip(whole.skip(4), rest, strict=True):
        for name, value in first.items():
            np.testing.assert_array_equal(value, second[name])


def test_fake_data_repeat_one_batch(records):
    task = EfficientDetTrainingTask(_config(), training_files=records, fake_data=True)
    first, second = task.training_dataset(2, start_step=0).take(2)
    np.testing.assert_array_equal(first["images"], second["images"])


def test_every_image_is_evaluated_once(records, tmp_path):
    config = _config()
    task = EfficientDetTrainingTask(
        config,
        evaluation_files=records,
        evaluation_images=5,
        testdev_dir=str(tmp_path / "testdev"),
    )
    model = _constant_detector(config)
    evaluator = Evaluator(task, model, tf.distribute.get_strategy(), 3)
    for _ in range(2):
        metrics, report, _ = evaluator.evaluate()
    assert evaluator.traces == 1
    assert metrics == {}
    path = tmp_path / "testdev" / TESTDEV_NAME
    assert str(path) in report
    rows = json.loads(path.read_text())
    assert {row["image_id"] for row in rows} == {1, 2, 3, 4, 5}
    assert all(row["score"] <= 0.5 for row in rows)


def test_metrics_of_a_perfect_detector(records):
    config = _config()
    task = EfficientDetTrainingTask(
        config, evaluation_files=records, class_names={1: "odd", 2: "even"}
    )
    evaluation = task.new_evaluation()
    for batch in task.evaluation_dataset(3):
        batch = {name: value.numpy() for name, value in batch.items()}
        truth = batch["gt_boxes_original_yxyx"][:, :1]
        np.testing.assert_allclose(truth[:, 0, 2] - truth[:, 0, 0], SIDE, rtol=1e-5)
        ones = np.ones(len(truth), np.int32)
        predictions = {
            "boxes_yxyx": truth,
            "scores": np.full((len(truth), 1), 0.9, np.float32),
            "classes": batch["gt_classes_original"][:, :1],
            "valid_len": ones,
        }
        evaluation.update(predictions, batch)
    metrics = evaluation.compute()
    assert metrics["AP"] == pytest.approx(1.0)
    assert metrics["AP_/odd"] == pytest.approx(1.0)
    assert "even" in evaluation.report(metrics)


@pytest.mark.parametrize("assignment", ["iou", "task_aligned"])
def test_validation_loss_is_the_training_loss_over_all_images(records, assignment):
    """Although the last batch is padded."""
    config = _config(iou_loss_type="ciou", assignment=assignment)
    task = EfficientDetTrainingTask(config, evaluation_files=records)
    model = _constant_detector(config, -2.0)
    evaluator = Evaluator(task, model, tf.distribute.get_strategy(), 3)
    metrics, report, _ = evaluator.evaluate()
    batch = next(iter(task.evaluation_dataset(7)))
    prepared = task.prepare(batch)
    positives = tf.reduce_sum(prepared["num_positives"])
    losses = task.losses(model, prepared, training=False, normalizer=positives)
    assert metrics["val_loss"] == pytest.approx(float(losses["loss"]), rel=1e-5)
    assert list(metrics)[-1] == "val_loss" and "validation loss" in report


def test_no_validation_loss_without_boxes_in_the_records(tmp_path):
    """The ground truth may be in a file, or the records for a test server."""
    config = _config()
    path = str(write_made_records(tmp_path / "a-00000-of-00001.tfrecord", 2))
    task = EfficientDetTrainingTask(config, evaluation_files=path)
    batch = next(iter(task.evaluation_dataset(2)))
    batch["gt_classes"] = -tf.ones_like(batch["gt_classes"])
    outputs = task.outputs(_constant_detector(config), batch)
    assert tf.reduce_sum(task.image_losses(outputs, batch)[:, 1]) == 0
    batch["gt_classes"] = 99 + tf.zeros_like(batch["gt_classes"])  # Of another network.
    assert tf.reduce_sum(task.image_losses(outputs, batch)[:, 1]) == 0
    server = EfficientDetTrainingTask(config, evaluation_files=path, testdev_dir="a")
    assert server.val_loss_inputs == ()


def test_mistakes_are_cut_out_of_the_photos_of_the_records(records):
    task = EfficientDetTrainingTask(_config(), evaluation_files=records)
    photos = task.evaluation_photos([5, 2])
    assert {number: name for number, (_, name) in photos.items()} == {2: "2.jpg", 5: "5.jpg"}
    assert photos[2][0].shape == (SIZE, SIZE, 3) and (photos[2][0] != photos[5][0]).any()
    evaluation = task.new_evaluation()
    for batch in task.evaluation_dataset(3):
        batch = {name: value.numpy() for name, value in batch.items()}
        count = len(batch["source_id"])
        evaluation.update(
            {
                "boxes_yxyx": batch["gt_boxes_original_yxyx"][:, :1],
                "scores": np.full((count, 1), 0.9, np.float32),
                "classes": np.ones((count, 1)),
                "valid_len": np.ones(count, np.int32),
            },
            batch,
        )
    evaluation.compute()
    found = evaluation.mistakes(20)
    assert [mistake.facts["image"] for mistake in found] == [
        f"{i + 1} ({i}.jpg)" for i in (1, 3, 5)
    ]
    assert found[0].facts["kind"] == "confused" and found[0].facts["iou"] == pytest.approx(1)
    assert found[0].picture.caption.startswith("Confused: 2 detected as 1 90%, IoU 100%.")
    pixels = np.asarray(found[0].picture.image)
    assert (pixels == TRUTH_COLOR).all(axis=-1).any()


def test_segmentation_alone_is_refused():
    with pytest.raises(UserError, match="object_detection"):
        EfficientDetTrainingTask(_config(heads=["segmentation"]))
