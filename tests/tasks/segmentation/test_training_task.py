"""The segmentation task: losses through a network, mIoU, looks at photos, tables and pictures."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.segmentation.metrics import resize_nearest
from efficientvision.tasks.segmentation.training_task import (
    SegmentationTrainingTask,
    input_masks,
)
from efficientvision.tasks.segmentation.tta import SegmentationTTA
from efficientvision.training.evaluator import Evaluator
from efficientvision.visualize.sheet import panels
from tests.made_mask_records import CLASSES, LEVELS, write_records

NAMES = {0: "sky", 1: "sea", 2: "sand", 3: "wood"}
HW = (40, 56)


def task_of(records=None, tta=None, names=None, **options):
    config = get_config(
        "espnetv2_s_0.5", {"num_classes": CLASSES, "image_size": HW, **options}, task="segmentation"
    )
    return SegmentationTrainingTask(
        config,
        training_files=records,
        evaluation_files=records,
        class_names=NAMES,
        evaluation_names=names,
        tta=tta(config) if tta else None,
    )


def grey_network(config, hw=HW, levels=LEVELS):
    """Logits of each pixel: how near its grey is to that of each class."""
    images = keras.Input((*hw, 3))
    pixels = images * np.array(config.stddev_rgb) + np.array(config.mean_rgb)
    grey = keras.ops.mean(pixels, axis=-1, keepdims=True)
    return keras.Model(images, -keras.ops.abs(grey - np.array(levels, "float32")))


def evaluate(task, model, batch_size=3):
    evaluation = task.new_evaluation()
    for batch in task.evaluation_dataset(batch_size):
        predictions = task.predict(model, {name: batch[name] for name in task.prediction_inputs})
        evaluation.update(
            {k: v.numpy() for k, v in predictions.items()}, {k: v.numpy() for k, v in batch.items()}
        )
    return evaluation, evaluation.compute()


@pytest.fixture
def records(tmp_path):
    return write_records(tmp_path / "a.tfrecord", 7, (HW, (80, 112)))


@pytest.mark.parametrize("loss_type", ["ce", "bce"])
def test_loss_is_that_of_the_network_on_normalised_images(loss_type):
    task = task_of(loss_type=loss_type)
    model = grey_network(task.config)
    rng = np.random.default_rng(0)
    images = np.repeat(rng.integers(0, 256, (2, *HW, 1), np.uint8), 3, axis=-1)
    masks = rng.integers(0, CLASSES, (2, *HW)).astype(np.uint8)
    masks[0, :9] = 255
    batch = {"images": tf.constant(images), "masks": tf.constant(masks)}
    normalizer = task.normalizer(batch, tf.identity)
    losses = task.losses(model, batch, training=True, normalizer=normalizer)
    logits = -np.abs(images[..., :1] - LEVELS.astype(float))
    known = masks != 255
    hot = (masks[..., None] == np.arange(CLASSES)) * 1.0
    if loss_type == "ce":
        log_sum = np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1)) + logits.max(-1)
        expected = (log_sum - (logits * hot).sum(-1))[known].mean()
    else:
        expected = (np.logaddexp(0, logits) - logits * hot).mean()
    assert tuple(losses) == task.loss_names == ("loss", "seg_loss")
    assert float(losses["loss"]) == pytest.approx(expected, rel=1e-4)


def test_a_network_that_sees_the_class_is_always_right(records):
    """Photos of two sizes; the larger ones are seen at half their size, blurred at borders."""
    task = task_of(records)
    evaluation, metrics = evaluate(task, grey_network(task.config))
    assert metrics["pixel_accuracy"] > 0.97 and metrics["miou"] > 0.95
    text = evaluation.report(metrics)
    assert "miou" in text and "wood" in text and "Excluded" not in text
    details = evaluation.details()
    assert (details.facts["task"], details.facts["images"]) == ("segmentation", 7)
    assert details.facts["pixels"] == 4 * 40 * 56 + 3 * 80 * 112
    assert [row["class"] for row in details.tables["per_class"]] == list(NAMES.values())


def test_classes_of_the_records_are_others(records):
    """Network: 4 classes the other way round, of which one means nothing to the records."""
    task = task_of(records, class_map={3: 0, 2: 1, 1: 2}, names={0: "a", 1: "b", 2: "c", 3: "d"})
    evaluation, metrics = evaluate(task, grey_network(task.config, levels=LEVELS[::-1]))
    assert metrics["pixel_accuracy"] > 0.97
    rows = {row["class"]: row for row in evaluation.details().tables["per_class"]}
    assert rows["a"]["IoU"] > 0.95 and rows["d"]["pixels"] < 0.05 * rows["a"]["pixels"]
    assert evaluation.details().facts["left_out"] > 5000 and "Excluded" in evaluation.report(
        metrics
    )


@pytest.mark.parametrize("options", [{}, {"loss_type": "bce"}])
def test_validation_loss_is_the_training_loss_over_all_images(records, options):
    task = task_of(records, **options)
    model = grey_network(task.config)
    metrics, report, _ = Evaluator(task, model, tf.distribute.get_strategy(), 3).evaluate()
    total = divisor = 0.0
    for batch in task.evaluation_dataset(1):
        batch = {"images": batch["images"], "masks": batch["input_masks"]}
        part = task.normalizer(batch, tf.identity)
        losses = task.losses(model, batch, training=False, normalizer=part)
        total, divisor = total + losses["loss"] * part, divisor + part
    assert metrics["val_loss"] == pytest.approx(float(total / divisor), rel=1e-5)
    assert "validation loss" in report


def test_no_validation_loss_for_other_classes_or_views(records):
    task = task_of(records, class_map={3: 0})
    assert task.val_loss_inputs == ()
    assert "input_masks" not in task.evaluation_dataset(1).element_spec
    tta = task_of(records, tta=lambda config: SegmentationTTA(config, flip=True))
    assert tta.val_loss_inputs == ()


def test_masks_are_resized_like_pillow():
    masks = np.random.default_rng(0).integers(0, 9, (2, 30, 50), np.uint8)
    sizes = [(30, 41), (13, 50)]
    batch = {"masks": tf.constant(masks), "mask_sizes": tf.constant(sizes)}
    for resized, mask, (h, w) in zip(input_masks(batch, (20, 64)), masks, sizes, strict=True):
        np.testing.assert_array_equal(resized, resize_nearest(mask[:h, :w], (20, 64)))


def test_the_worst_photos_come_with_a_map_of_their_errors(records):
    """A network that knows one class less; the last photo it sees is all wrong."""
    task = task_of(records)
    evaluation, metrics = evaluate(task, grey_network(task.config, levels=[*LEVELS[:3], -999.0]))
    found = evaluation.mistakes(20)
    wrong = [mistake.facts["wrong"] for mistake in found]
    assert wrong == sorted(wrong, reverse=True) and len(evaluation.mistakes(2)) == 2
    assert np.mean(wrong) > 0.5 * (1 - metrics["pixel_accuracy"])
    picture = found[0].picture
    assert picture.panels == 4 and "wood" in dict(picture.legend)
    assert picture.caption.startswith(f"{wrong[0]:.1%} of pixels wrong, mIoU ")
    errors = np.asarray(panels(picture)[3].convert("RGB")).astype(int)
    share = ((errors[..., 0] > 200) & (errors[..., 1] < 60)).mean()
    assert share == pytest.approx(wrong[0], abs=0.1)


def test_a_class_without_a_name_is_said(records):
    task = task_of(records, names={0: "a", 1: "b"})
    with pytest.raises(UserError, match="has class 3, but the records' classes are 0 to 1"):
        evaluate(task, grey_network(task.config))


def test_pictures_say_how_much_is_right(records):
    task = task_of(records)
    evaluation, _ = evaluate(task, grey_network(task.config))
    pictures = evaluation.pictures()
    assert len(pictures) == 7 and pictures[0].caption == "Image 0: 100% of pixels correct."
    assert pictures[0].image.width > 3 * 400
    batch = next(iter(task.training_dataset(4, start_step=0)))
    shown = task.training_pictures({k: v.numpy() for k, v in batch.items()}, 2)
    assert len(shown) == 2 and shown[0].caption.split(", ")[0] in NAMES.values()
    assert len(task.source_ids(4, step=0)) == 4


def test_a_mirrored_look_is_mirrored_back(records):
    """A network that moves what it sees to the right: the mean of both looks is symmetric."""
    task = task_of(records, tta=lambda config: SegmentationTTA(config, flip=True))
    plain = grey_network(task.config)
    inputs = keras.Input((*HW, 3))
    moved = keras.Model(inputs, keras.ops.roll(plain(inputs), 1, axis=2))
    batch = next(iter(task.evaluation_dataset(2)))
    (scores,) = task.outputs(moved, batch)
    (once,) = task_of().outputs(plain, batch)
    right, left = (tf.nn.softmax(tf.roll(once, shift, 2)) for shift in (1, -1))
    np.testing.assert_allclose(scores, (right + left) / 2, atol=1e-5)


def test_several_sizes(records):
    def tta(config):
        return SegmentationTTA(
            config, scales=(1.0, 2.0), build_network=lambda c: grey_network(c, c.image_hw)
        )

    task = task_of(records, tta)
    # By whole strides of 32: the remainder of 40 and of 56 stays.
    assert task.view_sizes == [HW, (72, 120)]
    assert task.prediction_inputs == ("images", "images_1")
    _, metrics = evaluate(task, grey_network(task.config))
    assert metrics["miou"] > 0.95
    with pytest.raises(UserError, match="the same input size"):
        task_of(records, lambda config: SegmentationTTA(config, scales=(1.0, 1.1)))
