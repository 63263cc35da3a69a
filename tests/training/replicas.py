"""Program: trains the same networks with one replica and with two logical devices.

Prints JSON: by case, the losses of each and the largest difference of weights, averages and slots.
Usage: replicas.py CASE..., where a CASE is NAME-NORM, such as `small-frozen`, or
NAME-NORM-MICRO_BATCHES: the two devices take their part of a batch in so many micro-batches.
NAME is a function of `CASES`, which gets the options of NORM (see `NORMS`). The case `seeds` is
what the dropout layers of two replicas draw.

Tests call `results` and `assert_alike`.
"""

import functools
import json
import sys
import typing
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.api import build_from_config
from efficientvision.layers.grouped_conv import GroupedConv2D
from efficientvision.layers.normalization import BatchNorm
from efficientvision.layers.prelu import PReLU
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.classification.training_task import ClassificationTrainingTask
from efficientvision.tasks.detection.efficientdet_training import EfficientDetTrainingTask
from efficientvision.tasks.detection.priors import prior_levels
from efficientvision.tasks.detection.ssd_training import SsdTrainingTask
from efficientvision.tasks.segmentation.training_task import SegmentationTrainingTask
from efficientvision.tasks.teacher import Teacher
from efficientvision.tasks.training_task import TrainingTask
from efficientvision.training.distribution import build_strategy, share_out
from efficientvision.training.optimizers import build_optimizer
from efficientvision.training.state import TrainingState
from efficientvision.training.train_step import TrainStep
from tests.depth import set_depth
from tests.programs import in_a_process
from tests.store import stored

STEPS = 5
BATCH = 4
SIZE = 64
CLIP_NORM = 0.5


def small_detector(config, stem="stem", norm="bn"):
    """One convolution, a batch norm and two heads, on one level: traced in a second."""
    channels = config.anchors_per_location
    images = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(8, 8, 8, padding="same", name=stem)(images)
    x = BatchNorm(
        momentum=0.9, frozen=not config.is_training_bn, synchronized=config.sync_bn, name=norm
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


def train(strategy, task, data, build, start, micro_batches, teacher=None):
    """Trains `STEPS` steps; returns losses by step, and the final state."""
    with strategy.scope():
        if teacher is not None:
            task.teacher = teacher(task)
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
            held_parts=task.config.freeze,
        )
    iterator = iter(share_out(strategy, reader(data), BATCH, 0))
    losses = []
    calls = {False: [1, 1, STEPS - 2]}
    if task.config.freeze:
        calls = {True: [1, 1], False: [STEPS - 2]}
    for held, steps in calls.items():
        step = TrainStep(
            *(task, state),
            weight_decay=1e-2,
            clip_norm=CLIP_NORM,
            micro_batches=micro_batches,
            held=held,
        )
        losses += [step(iterator, count) for count in steps]
        assert step.traces == 1, step.traces
    return losses, state


class Case(typing.NamedTuple):
    """A network and what it is trained for.

    Attributes:
        task: of the configuration that `build` gets.
        build: makes the network.
        data: `STEPS` batches of `BATCH` examples, as the task's data set gives them.
        teacher: makes the teacher of the task, if it has one.
    """

    task: TrainingTask
    build: Callable[..., keras.Model]
    data: dict[str, np.ndarray]
    teacher: Callable[..., Teacher] | None = None


def _detection(options, build, levels):
    config = get_config("efficientdet-d0", {**options, "anchor_scale": 2, **levels})
    return Case(EfficientDetTrainingTask(config), build, pictures())


def small(options):
    return _detection(options, small_detector, {"min_level": 3, "max_level": 3})


def scaled(options):
    """At 96 pixels, of which the photos have 64."""
    case = small({**options, "multi_scale": 0.5, "seed": 1})
    return case._replace(task=case.task.variant(0)[0])


def taught(options):
    """A detector that also learns from another, whose boxes it sees at first."""

    def teacher(task):
        keras.utils.set_random_seed(1)
        model = small_detector(task.config)
        model.get_layer("class").bias.assign_add(np.full(27, 1.0))
        return Teacher(model, task.config, range(3), (0, 2, 1), "teacher", "")

    case = small(options)
    case.task.loss_names += ("distill_loss", "distill_class_loss", "distill_box_loss")
    return case._replace(teacher=teacher)


def held(options):
    """The backbone is frozen in the first two steps."""
    build = functools.partial(small_detector, stem="efficientnet-s", norm="efficientnet-s-norm")
    return _detection({**options, "freeze": "backbone"}, build, {"min_level": 3, "max_level": 3})


def d0(options):
    # Levels 6 and 7 are single locations here: batch norms over 4 values, and near ties in the
    # max-pooling, where one replica whose images change places differs by 1e-4 from itself.
    levels = {"max_level": 5} if "sync_bn" in options else {}
    once = {"fpn_cell_repeats": 1, "box_class_repeats": 1}
    return _detection(options, build_from_config, once | levels)


def ssd(options):
    """The replicas have different numbers of positive priors, and mine their own negatives."""
    config = get_config("espnetv2_s_0.5", {**options, "num_classes": 4}, task="detection")
    return Case(SsdTrainingTask(config), small_ssd, pictures())


def classifier(options, multi_label=False):
    """With the weight decay of all weights."""
    config = get_config("espnetv2_s_0.5", {**options, "multi_label": multi_label})
    return Case(
        ClassificationTrainingTask(config), small_classifier, labelled_pictures(multi_label)
    )


def labels(options):
    """Several labels an image."""
    return classifier(options, multi_label=True)


def masks(options):
    """The replicas have different numbers of pixels that count, of different weights."""
    config = get_config("espnetv2_s_0.5", {**options, "auxiliary": True}, task="segmentation")
    task = SegmentationTrainingTask(config, class_weights=(1.0, 4.0, 0.5))
    return Case(task, small_segmenter, masked_pictures())


CASES = {
    case.__name__: case
    for case in (small, scaled, taught, held, d0, ssd, classifier, labels, masks)
}
NORMS = {"frozen": {"is_training_bn": False}, "synchronized": {"sync_bn": True}}
OPTIONS = {"num_classes": 3, "image_size": SIZE, "bn_momentum": 0.9}
# What the fast tests look at: one process for all of it. Every loss, and every norm.
FAST = (
    *("small-frozen", "small-frozen-2", "scaled-frozen-2", "taught-frozen-2", "ssd-frozen"),
    *("classifier-synchronized", "labels-frozen", "masks-synchronized", "seeds"),
)
# And what is left of losses with norms.
SLOW = (
    *("d0-frozen", "d0-synchronized", "small-synchronized", "ssd-synchronized"),
    *("classifier-frozen", "labels-synchronized", "masks-frozen"),
    *("held-synchronized", "held-frozen-2"),
)


def compare_replicas(case, two, micro_batches=1):
    """Trains a case with one replica and with those of a strategy; what they say of each other."""
    # The order of sums is fixed, too: with one draw in four, D0 has a max-pooling window whose two
    # largest values differ by a rounding error, and a gradient that goes to either (1.7e-5 to
    # 3.8e-5 between one replica and two; 4e-6 when it averages instead).
    keras.utils.set_random_seed(0)
    start = [w.numpy() for w in case.build(case.task.config).weights]
    losses, snapshots = [], []
    for strategy, parts in ((build_strategy(None), 1), (two, micro_batches)):
        own, state = train(strategy, case.task, case.data, case.build, start, parts, case.teacher)
        losses.append(own)
        copies = [strategy.experimental_local_results(v.value) for v in state.model.weights]
        for values in copies:
            for value in values[1:]:
                np.testing.assert_allclose(value.numpy(), values[0].numpy(), atol=1e-7)
        snapshots.append(state.snapshot())
    differences = {}
    for group in ("weights", "ema", "optimizer"):
        ours, theirs = (getattr(s, group) for s in snapshots)
        assert ours.keys() == theirs.keys()
        differences[group] = max(float(np.abs(ours[k] - theirs[k]).max()) for k in ours)
    moved = max(
        float(np.abs(w - s).max())
        for w, s in zip(snapshots[0].weights.values(), start, strict=True)
    )
    return {"losses": losses, "differences": differences, "moved": moved}


def layer_seeds(strategy, steps=(0, 5, 0)):
    """For each of these steps, the random state of each layer of each replica after it."""
    with strategy.scope():
        layers = [keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)]
        model = keras.Sequential([*layers, keras.layers.Dropout(0.3)])
        state = TrainingState(model, build_optimizer("sgd"), strategy, learning_rate=0.1, seed=7)
    seeds = [v for v in model.variables if v.shape == (2,)]
    inputs = tf.ones([2, 4])

    @tf.function
    def run():
        def step():
            state.seed_layers()
            return model(inputs, training=True)

        return strategy.run(step)

    drawn = []
    for step in steps:
        state.optimizer.iterations.assign(step)
        run()
        copies = [strategy.experimental_local_results(v.value) for v in seeds]
        drawn.append([[copy.numpy().tolist() for copy in c] for c in copies])
    return drawn


def results(*cases):
    """What the program prints of these cases; it runs once in a run of the tests."""
    folder = stored(f"replicas-{'-'.join(cases)}", functools.partial(_run, cases))
    return json.loads((folder / "results.json").read_text())


def _run(cases, folder):
    done = in_a_process(__file__, *cases, timeout=None)
    assert done.code == 0, done.stderr[-3000:]
    (folder / "results.json").write_text(done.stdout.strip().splitlines()[-1])


def assert_alike(result):
    """One replica and two trained alike: losses, weights, averages, slots."""
    one, two = result["losses"]
    for first, second in zip(one, two, strict=True):
        for name in first:
            assert second[name] == pytest.approx(first[name], rel=1e-5, abs=1e-5), name
    # The clipping acted, and training moved the weights far beyond the tolerance.
    assert one[0]["gradient_norm"] > CLIP_NORM
    assert result["moved"] > 1e-2
    assert max(result["differences"].values()) < 1e-5, result["differences"]


def main(*cases):
    set_depth(published=False)
    tf.config.experimental.enable_op_determinism()
    two = build_strategy("gpus", cpu_replicas=2)
    found = {}
    for text in cases:
        if text == "seeds":
            found[text] = layer_seeds(two)
            continue
        name, norm, *parts = text.split("-")
        case = CASES[name](OPTIONS | NORMS[norm])
        found[text] = compare_replicas(case, two, *map(int, parts))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
