"""Trains the small network that `segmentation_demo.py` uses without published weights.

    python demo/train_segmentation_demo.py --output_dir=testdata/shapes_segmenter

It is trained from scratch to segment generated shapes (`demo/make_shapes.py`), in six minutes on
two cores, and evaluated on larger pictures with another seed: mIoU 0.84. The folder contains
weights, `config.yaml` and `labels.json`, and loads like any run.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from absl import flags  # noqa: E402
from make_masks import NAMES, class_map_of  # noqa: E402
from make_shapes import make_scene  # noqa: E402
from small_network import write_small_network  # noqa: E402
from tqdm import tqdm  # noqa: E402

from efficientvision.api import build_from_config  # noqa: E402
from efficientvision.cli import run_main  # noqa: E402
from efficientvision.data.transforms.preprocess import normalize  # noqa: E402
from efficientvision.errors import UserError  # noqa: E402
from efficientvision.loading import LoadedModel  # noqa: E402
from efficientvision.tasks.choice import get_config  # noqa: E402
from efficientvision.tasks.segmentation.config import SegmentationConfig  # noqa: E402
from efficientvision.tasks.segmentation.losses import cross_entropy, cross_entropy_weight  # noqa: E402
from efficientvision.tasks.segmentation.metrics import PixelCounts, class_scores, mean_iou  # noqa: E402
from efficientvision.tasks.segmentation.predictor import Segmenter  # noqa: E402

MODEL = "espnetv2_s_0.5"
SIDE = 192
NETWORK = {"num_classes": len(NAMES), "image_size": SIDE, "label_map": dict(enumerate(NAMES))}
TRAIN_SEED, TEST_SEED = 11, 12
TEST_PICTURES, TEST_HW = 40, (480, 640)
BATCH = 8
LEARNING_RATE = 4e-3

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Trains, evaluates and writes the network."""
    del argv
    if not FLAGS.output_dir:
        raise UserError("--output_dir is missing; see --help for an example.")
    tf.get_logger().setLevel("ERROR")
    keras.utils.set_random_seed(TRAIN_SEED)
    config = get_config(MODEL, NETWORK, task="segmentation")
    model = build_from_config(config)
    train(model, config, FLAGS.pictures, FLAGS.epochs)
    measure(model, config)
    # Architecture only; this file documents the training.
    facts = {"name": MODEL, "task": "segmentation", **NETWORK}
    write_small_network(FLAGS.output_dir, model, facts, dict(enumerate(NAMES)))


def train(model: keras.Model, config: SegmentationConfig, pictures: int, epochs: int) -> None:
    """Trains a network on generated pictures, rotated and flipped at random in each epoch."""
    rngs = [np.random.default_rng([TRAIN_SEED, i]) for i in range(pictures)]
    scenes = [make_scene(rng, (SIDE, SIDE)) for rng in tqdm(rngs, "drawing", unit="image")]
    images = np.stack([scene.image for scene in scenes])
    masks = np.stack([class_map_of(scene) for scene in scenes])

    def turned(image, mask):
        both = tf.concat([image, mask[..., tf.newaxis]], axis=-1)
        both = tf.image.rot90(both, tf.random.uniform((), 0, 4, tf.int32))
        both = tf.image.random_flip_left_right(both)
        both = tf.ensure_shape(both, (SIDE, SIDE, 4))
        return normalize(both[..., :3], None, config.mean_rgb, config.stddev_rgb), both[..., 3]

    def loss(masks, logits):
        return cross_entropy(logits, masks, normalizer=cross_entropy_weight(masks))

    data = tf.data.Dataset.from_tensor_slices((images, masks)).shuffle(pictures, TRAIN_SEED)
    data = data.map(turned, tf.data.AUTOTUNE).batch(BATCH, drop_remainder=True).prefetch(2)
    steps = epochs * (pictures // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=LEARNING_RATE, warmup_steps=steps // 20
    )
    model.compile(keras.optimizers.AdamW(rate, weight_decay=1e-3), loss, jit_compile=False)
    model.fit(data, epochs=epochs, verbose=2)


def measure(model: keras.Model, config: SegmentationConfig) -> None:
    """Prints the IoU of each class on unseen pictures, at their original size."""
    names = dict(enumerate(NAMES))
    segmenter = Segmenter.from_loaded(LoadedModel(model, config, names), at_photo_size=True)
    counts = PixelCounts(len(NAMES))
    for index in tqdm(range(TEST_PICTURES), "measuring", unit="image"):
        scene = make_scene(np.random.default_rng([TEST_SEED, index]), TEST_HW)
        counts.add(class_map_of(scene), segmenter.predict(scene.image))
    for name, iou in zip(NAMES, class_scores(counts.matrix).iou, strict=True):
        print(f"{name:<12}{iou:6.3f}")
    print(f"{'mIoU':<12}{mean_iou(counts.matrix):6.3f}")


if __name__ == "__main__":
    flags.DEFINE_string("output_dir", None, "folder of the trained network")
    flags.DEFINE_integer("pictures", 1200, "pictures to train on")
    flags.DEFINE_integer("epochs", 5, "number of epochs")
    run_main(main)
