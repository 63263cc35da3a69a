"""Program: trains the same network with one replica and with two logical devices.

The two devices may each work off their part of a batch in micro-batches.

Prints JSON: the losses of each, and the largest difference of weights, averages and slots.
Usage: replicas.py (frozen | synchronized) (small | ssd | d0 | classifier | labels | masks)
    [MICRO_BATCHES]
"""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

from efficientvision.api import build_from_config
from efficientvision.configs import get_config
from efficientvision.detection.priors import prior_levels
from efficientvision.layers.grouped_conv import GroupedConv2D
from efficientvision.layers.normalization import BatchNorm
from efficientvision.layers.prelu import PReLU
from efficientvision.tasks.classification import ClassificationTask
from efficientvision.tasks.detection import DetectionTask
from efficientvision.tasks.segmentation import SegmentationTask
from efficientvision.tasks.ssd import SsdTask
from efficientvision.training.distribution import build_strategy, share_out
from efficientvision.training.optimizers import build_optimizer
from efficientvision.training.state import TrainingState
from efficientvision.training.train_step import TrainStep

STEPS = 5
BATCH = 4
SIZE = 64
CLIP_NORM = 0.5


def small_detector(config):
    """One convolution, a batch norm and two heads, on one level: traced in a second."""
    channels = config.anchors_per_location
    images = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(8, 8, 8, padding="same", name="stem")(images)
    x = BatchNorm(
        momentum=0.9, frozen=not config.is_training_bn, synchronized=config.sync_bn, name="bn"
    )(x)
    x = keras.ops.relu(x)
    classes = keras.layers.Conv2D(channels * config.num_classes, 1, name="class")(x)
    boxes = keras.layers.Conv2D(channels * 4, 1, name="box")(x)
    return keras.Model(images, ([classes], [boxes]), name="small")


def small_ssd(config):
    """One convolution and a batch norm, averaged to the cells of each level, and two heads."""
    norm = {"epsilon": 1e-5, "frozen": not config.is_training_bn, "synchronized": config.sync_bn}
    images = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(8, 8, 8, padding="same", name="stem")(images)
    x = keras.ops.relu(BatchNorm(momentum=0.9, name="bn", **norm)(x))
    outputs = []
    for name, values in (("class", config.num_classes), ("box", 4)):
        head = keras.layers.Conv2D(6 * values, 1, name=name)
        rows = []
        for level in prior_levels(**config.anchor_options):
            size = SIZE // 8 // int(level.cells_hw[0])
            cells = head(keras.layers.AveragePooling2D(size)(x))
            rows.append(keras.layers.Reshape((-1, values))(cells))
        outputs.append(keras.layers.Concatenate(axis=1)(rows))
    return keras.Model(images, tuple(outputs), name="small")


def small_classifier(config):
    """Two convolutions, one in groups, a PReLU and a batch norm, as EdgeNets have them."""
    norm = {"epsilon": 1e-5, "frozen": not config.is_training_bn, "synchronized": config.sync_bn}
    images = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(8, 8, 8, padding="same", name="stem")(images)
    x = BatchNorm(momentum=0.9, name="bn", **norm)(x)
    x = GroupedConv2D(8, 3, groups=4, name="grouped")(PReLU(name="prelu")(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(
        images, keras.layers.Dense(config.num_classes, name="classifier")(x), name="small"
    )


def small_segmenter(config):
    """Two convolutions, a PReLU and a batch norm, and a second output."""
    norm = {"epsilon": 1e-5, "frozen": not config.is_training_bn, "synchronized": config.sync_bn}
    images = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(8, 8, 8, padding="same", name="stem")(images)
    x = BatchNorm(momentum=0.9, name="bn", **norm)(x)
    x = PReLU(name="prelu")(x)
    outputs = {}
    for name in ("logits", "auxiliary"):
        maps = keras.layers.Conv2D(config.num_classes, 1, name=f"{name}_convolution")(x)
        outputs[name] = keras.layers.UpSampling2D(8, name=name)(maps)
    return keras.Model(images, outputs, name="small")


def masked_pictures():
    """The pictures with masks; of the first of each batch most is ignored."""
    images = pictures()["images"]
    masks = np.random.default_rng(1).integers(0, 3, images.shape[:3], np.uint8)
    masks[::BATCH, 4:] = 255
    return {"images": images, "masks": masks}


def labelled_pictures(multi_label):
    """The pictures, each with a class, or with any of three."""
    images = pictures()["images"]
    rng = np.random.default_rng(1)
    single, several = rng.integers(0, 3, len(images)), rng.integers(0, 2, (len(images), 3))
    labels = several.astype("uint8") if multi_label else single.astype("int32")
    return {"images": images, "labels": labels}


def pictures():
    """Random pictures; the two halves of a batch have different numbers of boxes."""
    rng = np.random.default_rng(0)
    result = []
    for _ in range(STEPS):
        corner = rng.uniform(0, SIZE / 2, (BATCH, 3, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(8, SIZE / 2, (BATCH, 3, 2))], -1)
        classes = rng.integers(1, 4, (BATCH, 3))
        classes[0, 1:] = -1
        boxes[0, 1:] = -1
        result.append(
            {
                "images": rng.integers(0, 256, (BATCH, SIZE, SIZE, 3)).astype("uint8"),
                "valid_hw": np.full((BATCH, 2), SIZE, "int32"),
                "gt_boxes_yxyx": boxes.astype("float32"),
                "gt_classes": classes.astype("int32"),
            }
        )
    return {key: np.concatenate([b[key] for b in result]) for key in result[0]}


def reader(data):
    """What gives some of the data's endless sequence, as a task's `training_dataset` does."""

    def read(batch_size, *, start_step, input_shard):
        index, count = input_shard
        dataset = tf.data.Dataset.from_tensor_slices(data).repeat().shard(count, index)
        return dataset.skip(start_step * batch_size).batch(batch_size, drop_remainder=True)

    return read


def train(strategy, task, data, build, start, micro_batches):
    """Trains `STEPS` steps; returns losses by step, and the final state."""
    with strategy.scope():
        model = build(task.config)
        for variable, value in zip(model.weights, start, strict=True):
            variable.assign(value)
        state = TrainingState(
            model,
            build_optimizer("sgd"),
            strategy,
            learning_rate=0.05,
            moving_average_decay=0.99,
            decay_all=task.config.weight_decay_all,
        )
    step = TrainStep(
        task, state, weight_decay=1e-2, clip_norm=CLIP_NORM, micro_batches=micro_batches
    )
    iterator = iter(share_out(strategy, reader(data), BATCH, 0))
    losses = [step(iterator, 1) for _ in range(2)] + [step(iterator, STEPS - 2)]
    assert step.traces == 1, step.traces
    return losses, state


def main(norm, size, micro_batches=1):
    # Initial weights and the order of sums are fixed: with one draw in four, D0 has a max-pooling
    # window whose two largest values differ by a rounding error, and a gradient that goes to
    # either (1.7e-5 to 3.8e-5 between one replica and two; 4e-6 when it averages instead).
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    two = build_strategy("gpus", cpu_replicas=2)
    options = {"num_classes": 3, "image_size": SIZE, "bn_momentum": 0.9}
    # Of an EfficientDet alone.
    levels = {"anchor_scale": 2}
    if norm == "frozen":
        options |= {"is_training_bn": False}
    else:
        # Levels 6 and 7 are single locations here: batch norms over 4 values, and near ties in the
        # max-pooling, where one replica whose images change places differs by 1e-4 from itself.
        options |= {"sync_bn": True}
        levels |= {"max_level": 5}
    if size == "small":
        levels |= {"min_level": 3, "max_level": 3}
    if size in ("classifier", "labels"):
        config = get_config("espnetv2_s_0.5", {**options, "multi_label": size == "labels"})
        task, data = ClassificationTask(config), labelled_pictures(config.multi_label)
        build = small_classifier
    elif size == "masks":
        config = get_config("espnetv2_s_0.5", {**options, "auxiliary": True}, task="segmentation")
        task = SegmentationTask(config, class_weights=(1.0, 4.0, 0.5))
        data, build = masked_pictures(), small_segmenter
    elif size == "ssd":
        config = get_config("espnetv2_s_0.5", {**options, "num_classes": 4}, task="detection")
        task, data, build = SsdTask(config), pictures(), small_ssd
    else:
        config = get_config("efficientdet-d0", {**options, **levels})
        task, data = DetectionTask(config), pictures()
        build = small_detector if size == "small" else build_from_config
    start = [w.numpy() for w in build(config).weights]
    losses, snapshots = [], []
    for strategy, parts in ((build_strategy(None), 1), (two, int(micro_batches))):
        own, state = train(strategy, task, data, build, start, parts)
        losses.append(own)
        copies = [strategy.experimental_local_results(v.value) for v in state.model.weights]
        for values in copies:
            for value in values[1:]:
                np.testing.assert_allclose(value.numpy(), values[0].numpy(), atol=1e-7)
        snapshots.append(state.snapshot())
    differences = {}
    for group in ("weights", "ema", "optimizer"):
        one, two = (getattr(s, group) for s in snapshots)
        assert one.keys() == two.keys()
        differences[group] = max(float(np.abs(one[k] - two[k]).max()) for k in one)
    moved = max(
        float(np.abs(w - s).max())
        for w, s in zip(snapshots[0].weights.values(), start, strict=True)
    )
    print(json.dumps({"losses": losses, "differences": differences, "moved": moved}))


if __name__ == "__main__":
    main(*sys.argv[1:])
