"""Serialized records in the order of training or of evaluation.

The order of training is a function of (seed, epoch): a run that begins again at example n skips
whole epochs by counting and the rest without decoding.
"""

from __future__ import annotations

import tensorflow as tf

AUTOTUNE = tf.data.AUTOTUNE

# Partners (mosaic, MixUp) come from the same window of so many examples of the sequence.
PARTNER_WINDOW = 16


def read_in_order(files: list[str]) -> tf.data.Dataset:
    """Records of the files, one after the other."""
    return tf.data.TFRecordDataset(files, buffer_size=1 << 20)


def endless_stream(
    files: list[str],
    counts: list[int],
    *,
    num_records: int,
    seed: int,
    first: int,
    num_epochs: int | None,
    shuffle_buffer: int,
    max_examples: int | None,
) -> tf.data.Dataset:
    """(position int64 [], serialized record string []), epoch after epoch.

    Args:
        files, counts: record files, and how many records each holds.
        num_records: records of an epoch.
        seed: of the order.
        first: position to begin with.
        num_epochs: end after so many; None: never.
        shuffle_buffer: records held to draw from.
        max_examples: the first so many records are all there is; None: all of them.
    """
    first_epoch, skipped = divmod(first, num_records)
    first_epoch, skipped = tf.constant(first_epoch, tf.int64), tf.constant(skipped, tf.int64)
    paths = [path for path, count in zip(files, counts, strict=True) if count]

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        epoch_seed = tf.random.stateless_uniform(
            [2], tf.stack([tf.constant(seed, tf.int64), epoch]), maxval=2**31 - 1, dtype=tf.int64
        )
        if max_examples is None:
            order = tf.random.experimental.stateless_shuffle(paths, epoch_seed)
            records = tf.data.Dataset.from_tensor_slices(order).interleave(
                tf.data.TFRecordDataset,
                cycle_length=min(len(paths), 8),
                num_parallel_calls=AUTOTUNE,
                deterministic=True,
            )
        else:
            records = read_in_order(paths).take(num_records)
        records = records.shuffle(
            min(num_records, shuffle_buffer), seed=epoch_seed[0], reshuffle_each_iteration=False
        )
        records = records.enumerate(epoch * num_records)
        return records.skip(tf.where(tf.equal(epoch, first_epoch), skipped, 0))

    last = tf.int64.max if num_epochs is None else num_epochs
    return tf.data.Dataset.range(first_epoch, last).flat_map(one_epoch)


def with_partners(
    stream: tf.data.Dataset, *, seed: int, first: int, num_partners: int
) -> tf.data.Dataset:
    """Gives every record of a sequence some others to be combined with.

    The sequence is cut, at fixed positions, into windows of ``PARTNER_WINDOW`` records; partners
    are drawn within the window, none twice. So example n is made of the same photos whatever the
    batch size, the number of readers or the step that a run begins at.

    Args:
        stream: as `endless_stream` gives it, from position ``first`` rounded down to a window on
            (:func:`window_start`).
        seed: of the choice.
        first: position to begin with.
        num_partners: how many, less than ``PARTNER_WINDOW``.

    Returns:
        (position int64 [], records string [1 + num_partners]), from position ``first`` on.
    """

    if num_partners == 0:
        return stream.map(lambda position, record: (position, record[tf.newaxis]))

    def groups(positions: tf.Tensor, records: tf.Tensor) -> tf.data.Dataset:
        size = tf.shape(records)[0]
        # The last window of all may have fewer: then photos repeat.
        others = tf.maximum(size - 1, 1)
        window_seed = tf.stack([tf.constant(seed, tf.int64), positions[0]])
        numbers = tf.random.stateless_uniform([size, tf.maximum(others, num_partners)], window_seed)
        offsets = 1 + tf.argsort(numbers, axis=1)[:, :num_partners] % others
        offsets = tf.concat([tf.zeros([size, 1], tf.int32), offsets], axis=1)
        chosen = (tf.range(size)[:, tf.newaxis] + offsets) % size
        chosen.set_shape([None, 1 + num_partners])
        return tf.data.Dataset.from_tensor_slices((positions, tf.gather(records, chosen)))

    return stream.batch(PARTNER_WINDOW).flat_map(groups).skip(first - window_start(first))


def window_start(position: int) -> int:
    """The first position of the window that a position is in."""
    return position // PARTNER_WINDOW * PARTNER_WINDOW
