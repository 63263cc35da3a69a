"""The SSD task: targets, normaliser, predictions in pixels of the photos, its recipe."""

import dataclasses
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.api import build_from_config
from efficientvision.errors import UserError
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.detection.augmentation import SsdAugmentation
from efficientvision.tasks.detection.decoder import SsdDecoder
from efficientvision.tasks.detection.priors import generate_priors
from efficientvision.tasks.detection.ssd_config import SsdConfig
from efficientvision.tasks.detection.ssd_training import SsdTrainingTask
from efficientvision.tasks.detection.tta import DetectionTTA, TTAOptions
from efficientvision.training.evaluator import Evaluator
from tests.made_records import SIDE, SIZE, write_made_records

NAME = "espnetv2_s_0.5"
HPARAMS = pathlib.Path(__file__).parents[3] / "hparams"
STEADY = {
    "input_rand_hflip": False,
    "photometric_distortion": False,
    "expand_prob": 0.0,
    "sample_crop": False,
}


def config_of(**changes):
    changes = {"num_classes": 3, "image_size": SIZE, **changes}
    return get_config(NAME, changes, task="detection")


def constant_ssd(task, confidences=0.0, locations=0.0):
    """Says the same of every photo: an array, or one number for all."""
    shapes = [(len(task.priors), task.config.num_classes), (len(task.priors), 4)]
    values = [
        np.broadcast_to(np.float32(value), shape)
        for value, shape in zip((confidences, locations), shapes, strict=True)
    ]
    images = keras.Input((SIZE, SIZE, 3))
    count = keras.layers.Lambda(lambda x: 0.0 * keras.ops.mean(x, axis=(1, 2, 3)))(images)
    outputs = [
        keras.layers.Lambda(lambda n, value=value: n[:, None, None] + value[None])(count)
        for value in values
    ]
    return keras.Model(images, tuple(outputs))


@pytest.fixture
def records(tmp_path):
    return str(write_made_records(tmp_path / "made-00000-of-00001.tfrecord", 7))


def perfect_outputs(task, batch):
    """What a network would have to say of the first photo of a batch."""
    prepared = task.prepare({name: tf.constant(batch[name]) for name in batch})
    labels = prepared["class_targets"][0].numpy()
    confidences = np.where(np.arange(3) == labels[:, None], 12.0, 0.0)
    return confidences, prepared["box_targets"][0].numpy()


def test_losses_are_divided_by_the_positives_of_all_replicas(records):
    task = SsdTrainingTask(config_of(), training_files=records)
    model = constant_ssd(task)
    batch = task.prepare(next(iter(task.training_dataset(4, start_step=0))))
    alone = task.normalizer(batch, tf.identity)
    assert float(alone) == float(tf.reduce_sum(batch["num_positives"])) >= 4
    of_three = task.normalizer(batch, lambda positives: 3.0 * positives)
    losses = [
        task.losses(model, batch, training=True, normalizer=normalizer)
        for normalizer in (alone, of_three)
    ]
    for name in task.loss_names:
        assert float(losses[0][name]) == pytest.approx(3 * float(losses[1][name]), rel=1e-5)
    # Three classes, equal logits: log 3 for each positive prior and its three negatives.
    assert float(losses[0]["cls_loss"]) == pytest.approx(4 * np.log(3), rel=1e-5)


@pytest.mark.parametrize("options", [None, TTAOptions(flip=True)], ids=["plain", "flipped"])
def test_what_is_trained_for_is_what_is_detected(records, options):
    """Targets as outputs give the boxes back in pixels of the photo, the mirror image's too."""
    config = config_of()
    task = SsdTrainingTask(config, evaluation_files=records)
    batch = next(iter(task.evaluation_dataset(1)))
    if options is None:
        decode, merge = task.decode, dict
        outputs = perfect_outputs(task, batch)
    else:
        tta = DetectionTTA(config, SsdDecoder(config), options)
        decode, merge = tta.decode, tta.merge
        mirrored = dict(batch)
        boxes = batch["gt_boxes_yxyx"].numpy()[:, :1]
        mirrored["gt_boxes_yxyx"] = np.stack(
            [boxes[..., 0], SIZE - boxes[..., 3], boxes[..., 2], SIZE - boxes[..., 1]], -1
        )
        mirrored["gt_classes"] = batch["gt_classes"][:, :1]
        outputs = [*perfect_outputs(task, batch), *perfect_outputs(task, mirrored)]
    found = merge(
        {
            name: value.numpy()
            for name, value in decode(
                [tf.constant(x[None], tf.float32) for x in outputs], batch
            ).items()
        }
    )
    truth = batch["gt_boxes_original_yxyx"][0, 0].numpy()
    assert truth[2] - truth[0] == pytest.approx(SIDE, rel=1e-4)
    assert found["scores"][0, 0] > 0.9 and found["classes"][0, 0] == int(batch["gt_classes"][0, 0])
    np.testing.assert_allclose(found["boxes_yxyx"][0, 0], truth, atol=0.05)
    assert (found["scores"][0, 1:] < 0.5).all()


def test_an_evaluation_has_coco_and_voc_metrics(records):
    task = SsdTrainingTask(config_of(), evaluation_files=records, class_names={1: "odd", 2: "even"})
    model = constant_ssd(task)
    evaluator = Evaluator(task, model, tf.distribute.get_strategy(), 3)
    metrics, report, _ = evaluator.evaluate()
    assert evaluator.traces == 1
    assert {"AP", "AP50", "VOC07_mAP", "VOC_AP_/odd"} <= set(metrics)
    assert "PASCAL VOC" in report
    plain = SsdTrainingTask(config_of(voc_metrics=False), evaluation_files=records)
    assert "VOC_mAP" not in Evaluator(plain, model, tf.distribute.get_strategy(), 3).evaluate()[0]


def test_training_data_go_on_where_they_stopped(records):
    task = SsdTrainingTask(config_of(seed=5), training_files=records)
    whole = task.training_dataset(2, start_step=0).take(5)
    rest = task.training_dataset(2, start_step=3).take(2)
    for first, second in zip(whole.skip(3), rest, strict=True):
        for name, value in first.items():
            np.testing.assert_array_equal(value, second[name])


def test_plain_training_examples_lead_to_the_same_targets(records):
    """What training sees without augmentation is what evaluation sees."""
    task = SsdTrainingTask(config_of(**STEADY), training_files=records, evaluation_files=records)
    batch = next(iter(task.training_dataset(7, start_step=0)))
    seen = next(iter(task.evaluation_dataset(7)))
    order = np.lexsort(batch["gt_boxes_yxyx"][:, 0, :2].numpy().T)
    other = np.lexsort(seen["gt_boxes_yxyx"][:, 0, :2].numpy().T)
    np.testing.assert_array_equal(batch["images"].numpy()[order], seen["images"].numpy()[other])


def test_hyper_parameters_arrive():
    changes = {
        "input_rand_vflip": True,
        "photometric_distortion": False,
        "expand_prob": 0.2,
        "expand_max": 2.5,
        "sample_crop": False,
        "mean_rgb": (1.0, 2.0, 3.0),
    }
    augmentation = dataclasses.asdict(SsdTrainingTask.augmentation(config_of(**changes)))
    assert changes.items() <= augmentation.items()
    config = SsdConfig()
    for field in dataclasses.fields(SsdAugmentation):
        assert field.default == getattr(config, field.name), field.name
    with pytest.raises(UserError, match="label_smoothing"):
        config_of(label_smoothing=0.1)


@pytest.mark.parametrize("name", ["espnetv2_s_0.5", "dicenet_s_0.2", "efficientnet-b0"])
def test_a_configuration_builds_its_network(name):
    config = get_config(name, {"num_classes": 3, "image_size": 96}, task="detection")
    model = build_from_config(config)
    confidences, locations = model.output
    assert model.name == name and confidences.shape[-1] == 3
    assert locations.shape[1:] == (len(SsdTrainingTask(config).priors), 4)
    norms = [layer for layer in model._flatten_layers() if layer.__class__.__name__ == "BatchNorm"]
    momentum = 0.99 if name == "efficientnet-b0" else 0.9
    assert norms and {layer.momentum for layer in norms} == {momentum}


@pytest.mark.parametrize(
    ("recipe", "classes", "size"),
    [
        ("ssd_voc_300", 21, 300),
        ("ssd_voc_512", 21, 512),
        ("ssd_coco_300", 91, 300),
        ("ssd_coco_512", 91, 512),
    ],
)
def test_recipes_are_the_published_ones(recipe, classes, size):
    config = get_config("espnetv2_s_2.0", str(HPARAMS / f"{recipe}.yaml"), task="detection")
    assert (config.num_classes, config.image_hw) == (classes, (size, size))
    assert config.learning_rate == (0.01 if size == 300 else 0.005)
    assert (config.optimizer, config.momentum, config.weight_decay) == ("sgd", 0.9, 5e-4)
    assert (config.lr_decay_method, config.clr_max, config.num_epochs) == ("hybrid", 61, 100)
    assert config.is_training_bn == (size == 300)


def test_priors_are_of_the_scales_asked_for():
    config = config_of(prior_min_scale=0.2, prior_max_scale=0.8)
    np.testing.assert_array_equal(SsdTrainingTask(config).priors, generate_priors(SIZE, 0.2, 0.8))
    with pytest.raises(UserError, match="prior_min_scale=0.8 must be below prior_max_scale=0.5"):
        config_of(prior_min_scale=0.8, prior_max_scale=0.5)


@pytest.mark.slow
def test_validation_loss_is_the_training_loss_over_all_images(records):
    task = SsdTrainingTask(config_of(), evaluation_files=records)
    model = constant_ssd(task, [0.5, 0.1, 0.2])
    metrics, _, _ = Evaluator(task, model, tf.distribute.get_strategy(), 3).evaluate()
    prepared = task.prepare(next(iter(task.evaluation_dataset(7))))
    positives = tf.reduce_sum(prepared["num_positives"])
    losses = task.losses(model, prepared, training=False, normalizer=positives)
    assert metrics["val_loss"] == pytest.approx(float(losses["loss"]), rel=1e-5)
