"""Measures images per second of the training input pipeline, compared with simpler pipelines.

  PYTHONPATH=".:$PYTHONPATH" python benchmarks/input_pipeline.py
  PYTHONPATH=".:$PYTHONPATH" python benchmarks/input_pipeline.py --file_pattern='tfrecord/train-*'

All pipelines flip, jitter the scale, resize and batch; they alternate for several rounds:
  decode only    decodes every JPEG completely, in parallel: the limit for decoding whole images
  naive          one image after the other, decoded completely, normalised and resized in float32
  parallel       the same, in parallel
  ours           tasks.detection.pipeline: the part seen decoded, one resize, uint8 out
The others are ours with one augmentation more: AutoAugment v1 (on the whole photo), mosaic of all
images (four photos each) and MixUp of half of them.
Without --file_pattern, textured 640x480 JPEGs are generated. The last column is the CPU time per
image; unlike the others it hardly changes on a busy machine.
"""

import os
import statistics
import tempfile
import time

from absl import flags

from efficientvision.cli import run_main

flags.DEFINE_string("file_pattern", None, "glob of TFRecords; by default synthetic ones are made")
flags.DEFINE_integer("image_size", 512, "side of the network input, pixels")
flags.DEFINE_integer("batch_size", 8, "images a batch")
flags.DEFINE_float("jitter_min", 0.1, "least scale factor")
flags.DEFINE_float("jitter_max", 2.0, "greatest scale factor")
flags.DEFINE_integer("rounds", 3, "turns of each way; the median is printed")
flags.DEFINE_float("seconds", 4.0, "length of a turn")
FLAGS = flags.FLAGS

SYNTHETIC_IMAGES = 64


def write_synthetic(folder: str) -> str:
    """Writes records of textured 640x480 JPEGs, of about real file sizes; returns the pattern."""
    import io

    import numpy as np
    from PIL import Image

    from efficientvision.data.record_files import write_shards
    from efficientvision.data.records import DetectionExample, encode_example

    def build(index: int) -> bytes:
        random = np.random.default_rng(index)
        image = np.zeros((480, 640, 3), np.float64)
        for side in (4, 16, 64, 160):
            noise = random.integers(0, 256, (480 // side + 1, 640 // side + 1, 3), np.uint8)
            layer = Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC)
            image += np.asarray(layer, np.float64) / 4
        jpeg = io.BytesIO()
        Image.fromarray(image.astype(np.uint8)).save(jpeg, "JPEG", quality=90)
        top, left = random.uniform(0, 300, (2, 8))
        boxes = np.stack([top, left, top + 100, left + 120], axis=-1)
        return encode_example(
            DetectionExample(
                jpeg.getvalue(), "jpeg", f"{index}.jpg", str(index + 1), 480, 640,
                boxes, [1] * 8, ["thing"] * 8, [12000.0] * 8,
            )
        )  # fmt: skip

    prefix = os.path.join(folder, "synthetic")
    write_shards(range(SYNTHETIC_IMAGES), build, prefix, num_shards=4, num_workers=1)
    return prefix + "-*.tfrecord"


def pipelines(file_pattern: str) -> dict:
    """The pipelines to compare: name -> infinite data set of batches."""
    import tensorflow as tf

    from efficientvision.data.record_files import match_files
    from efficientvision.data.records import parse_example
    from efficientvision.data.transforms import decode, jitter, orientation, preprocess
    from efficientvision.data.transforms.boxes import clip_to_last_pixel, pad_rows
    from efficientvision.data.transforms.placement import place_boxes
    from efficientvision.tasks.detection.augmentation import Augmentation
    from efficientvision.tasks.detection.pipeline import detection_dataset

    image_hw = (FLAGS.image_size, FLAGS.image_size)
    limits = {"jitter_min": FLAGS.jitter_min, "jitter_max": FLAGS.jitter_max}

    def decode_only(serialized):
        return tf.reduce_sum(
            tf.cast(decode.decode_image(parse_example(serialized)["encoded"]), tf.int32)
        )

    def whole_float32(serialized):
        example = parse_example(serialized)
        image = preprocess.normalize(decode.decode_image(example["encoded"]), None, 127.0, 128.0)
        seed = tf.random.uniform([2], maxval=2**31 - 1, dtype=tf.int32)
        source_hw = tf.shape(image)[:2]
        turned = orientation.draw_orientation(
            seed, horizontal_flip=True, vertical_flip=False, quarter_turns=False
        )
        drawn = jitter.draw_jitter(seed, **limits)
        placement, image_scale = jitter.plan_jitter(source_hw, image_hw, *drawn)
        image = orientation.orient_image(turned, image)
        # Resize everything, then cut: what the crop plan spares.
        fitted = tf.cast(tf.cast(source_hw, tf.float32) / image_scale, tf.int32)
        image = preprocess.resize_bilinear(image, tf.maximum(fitted, placement.part_hw))
        seen = image[: placement.part_hw[0], : placement.part_hw[1]]
        image = preprocess.pad_to_canvas(seen, image_hw)
        boxes = orientation.orient_boxes(turned, example["boxes_normalized_yxyx"])
        boxes = clip_to_last_pixel(place_boxes(boxes, placement, source_hw), image_hw)
        return image, pad_rows(boxes, 100, -1.0)

    records = tf.data.TFRecordDataset(match_files(file_pattern)).repeat()
    batch = FLAGS.batch_size

    def ours(**augmentation):
        return detection_dataset(
            file_pattern,
            image_hw=image_hw,
            batch_size=batch,
            training=True,
            seed=0,
            augmentation=Augmentation(**limits, **augmentation),
        )

    return {
        "decode only": records.map(decode_only, tf.data.AUTOTUNE).batch(batch).prefetch(2),
        "naive": records.map(whole_float32).batch(batch),
        "parallel": records.map(whole_float32, tf.data.AUTOTUNE).batch(batch).prefetch(2),
        "ours": ours(),
        "autoaugment": ours(autoaugment_policy="v1"),
        "mosaic": ours(mosaic_prob=1.0),
        "mixup": ours(mixup_prob=0.5),
    }


def main(_: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file_pattern = FLAGS.file_pattern or write_synthetic(folder)
        ways = pipelines(file_pattern)
        speeds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _round in range(FLAGS.rounds):
            for name, dataset in ways.items():
                # A new iterator per turn, so that none prefetches while others are timed.
                speeds[name].append(measure(iter(dataset), FLAGS.seconds))
    print_table(speeds)


def measure(iterator, seconds: float) -> tuple[float, float]:
    """Measures images per second for about `seconds`, after a warm-up, and CPU time per image."""
    for _warm_up in range(4):
        next(iterator)
    images, start, cpu_start = 0, time.perf_counter(), time.process_time()
    while (elapsed := time.perf_counter() - start) < seconds:
        next(iterator)
        images += FLAGS.batch_size
    return images / elapsed, (time.process_time() - cpu_start) / images


def print_table(measured: dict[str, list[tuple[float, float]]]) -> None:
    """Prints medians, ranges, ratios to the naive pipeline and to decoding, and CPU time."""
    speeds = {name: [speed for speed, _ in turns] for name, turns in measured.items()}
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    print(f"{os.cpu_count()} cores, input {FLAGS.image_size}x{FLAGS.image_size}, "
          f"batch {FLAGS.batch_size}, jitter {FLAGS.jitter_min}-{FLAGS.jitter_max}")  # fmt: skip
    print(f"{'':<14}{'images/s':>10}{'range':>16}{'/ naive':>10}{'/ decode':>10}{'CPU ms':>10}")
    for name, median in medians.items():
        spread = f"{min(speeds[name]):.0f}-{max(speeds[name]):.0f}"
        cpu = 1e3 * statistics.median(cpu for _, cpu in measured[name])
        print(
            f"{name:<14}{median:>10.0f}{spread:>16}{median / medians['naive']:>10.2f}"
            f"{median / medians['decode only']:>10.2f}{cpu:>10.1f}"
        )


if __name__ == "__main__":
    run_main(main)
